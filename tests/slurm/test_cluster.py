"""What the tests of this folder rely on is so: of Slurm, and of the cluster that they share."""

from __future__ import annotations

from pathlib import Path

from tests.slurm.cluster import Cluster

COUNT = 'echo x >>"{}/$SLURM_ARRAY_TASK_ID"; '


def states(cluster: Cluster, array: str) -> list[str]:
    return [cluster.state(f"{array}_{element}") for element in range(3)]


def test_an_array_runs_and_sacct_tells_how_each_element_ended(cluster: Cluster, tmp_path: Path) -> None:
    array = cluster.sbatch(COUNT.format(tmp_path) + "exit $SLURM_ARRAY_TASK_ID", "--array=0-2", "--gpus=1")
    ended = [("COMPLETED", "0:0"), ("FAILED", "1:0"), ("FAILED", "2:0")]

    def told() -> list[tuple[str, str]]:
        rows = sorted(cluster.sacct("-j", array), key=lambda row: row["JobID"])
        return [(row["State"], row["ExitCode"]) for row in rows]

    cluster.wait_until(lambda: told() == ended, 20)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2"]


def test_aftercorr_holds_each_element_by_its_own_parent(cluster: Cluster, tmp_path: Path) -> None:
    """The element whose parent failed waits for ever."""
    parents = cluster.sbatch("[ $SLURM_ARRAY_TASK_ID != 1 ]", "--array=0-2")
    children = cluster.sbatch(COUNT.format(tmp_path), "--array=0-2", f"--dependency=aftercorr:{parents}")
    cluster.wait_until(lambda: states(cluster, children) == ["COMPLETED", "PENDING", "COMPLETED"], 20)
    [left] = cluster.wait_until(lambda: [row for row in cluster.squeue() if row["reason"] == "DependencyNeverSatisfied"])
    assert (left["id"], left["dependency"]) == (f"{children}_1", f"aftercorr:{parents}_*(failed)")


def test_jobs_see_the_gpus_that_they_asked_for(cluster: Cluster, tmp_path: Path) -> None:
    job = cluster.sbatch("echo $CUDA_VISIBLE_DEVICES", "--gpus=2", f"--output={tmp_path}/out")
    cluster.wait_until(lambda: cluster.state(job) == "COMPLETED", 20)
    assert (tmp_path / "out").read_text() == "0,1\n"


def test_a_node_that_fails_requeues_its_job(cluster: Cluster, tmp_path: Path) -> None:
    job = cluster.sbatch(f"echo x >>{tmp_path}/runs; sleep 600", "--nodelist=node3")
    cluster.wait_until(lambda: cluster.state(job) == "RUNNING")
    cluster.fail_node("node3")
    cluster.wait_until(lambda: cluster.state(job) == "PENDING")
    cluster.wait_until(lambda: (tmp_path / "runs").read_text() == "x\nx\n", 40)
    assert [row["State"] for row in cluster.sacct("--duplicates", "-j", job)] == ["NODE_FAIL", "RUNNING"]


def test_a_preempted_job_gets_its_own_signal_and_is_requeued(cluster: Cluster, tmp_path: Path) -> None:
    """One that ends by itself within the partition's 10 seconds of grace would have ended for good."""
    script = f"echo begun >>{tmp_path}/said; trap 'echo told >>{tmp_path}/said' USR2; while sleep 1; do :; done"
    job = cluster.sbatch(script, "--partition=low", "--nodelist=node2", "--signal=B:USR2@90")
    cluster.wait_until(lambda: cluster.state(job) == "RUNNING")
    high = cluster.preempt("node2")
    cluster.wait_until(lambda: cluster.state(high) == "RUNNING", 30)
    assert cluster.state(job) == "PENDING"
    cluster.cancel(high)
    cluster.wait_until(lambda: (tmp_path / "said").read_text() == "begun\ntold\nbegun\n", 30)
