"""What the tests of this folder rely on is so: of Slurm, and of the cluster that they share."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster
from tests.slurm.daemons import ROOT

OWN = """
from tests.slurm.cluster import throwaway
with throwaway(nodes=1, accounting=False) as cluster:
    cluster.sbatch("sleep 600")
    cluster.wait_until(lambda: cluster.squeue()[0]["state"] == "RUNNING")
    print(cluster.folder, flush=True)
    input()
"""


def ends(cluster: Cluster, job: str) -> list[tuple[str, str]]:
    """State and exit code of a job, or of each element of an array in order, as accounting has it."""
    rows = sorted(cluster.sacct("-j", job), key=lambda row: row["JobID"])
    return [(row["State"], row["ExitCode"]) for row in rows]


def begun(cluster: Cluster, *arguments: str, script: str = "sleep 600") -> str:
    job = cluster.sbatch(script, *arguments)
    cluster.wait_until(lambda: cluster.state(job) == "RUNNING")
    return job


def test_an_array_runs_and_sacct_tells_how_each_element_ended(cluster: Cluster, tmp_path: Path) -> None:
    """Each saw one of the two GPUs of its node."""
    script = f"echo $CUDA_VISIBLE_DEVICES >{tmp_path}/$SLURM_ARRAY_TASK_ID; exit $SLURM_ARRAY_TASK_ID"
    array = cluster.sbatch(script, "--array=0-2", "--gpus=1")
    told = [("COMPLETED", "0:0"), ("FAILED", "1:0"), ("FAILED", "2:0")]
    cluster.wait_until(lambda: ends(cluster, array) == told, 30)
    assert {path.name: path.read_text() in ("0\n", "1\n") for path in tmp_path.iterdir()} == {"0": True, "1": True, "2": True}


def test_aftercorr_holds_each_element_by_its_own_parent(cluster: Cluster) -> None:
    """The element whose parent failed waits for ever."""
    parents = cluster.sbatch("[ $SLURM_ARRAY_TASK_ID != 1 ]", "--array=0-2")
    children = cluster.sbatch("true", "--array=0-2", f"--dependency=aftercorr:{parents}")
    told = ["COMPLETED", "PENDING", "COMPLETED"]
    cluster.wait_until(lambda: [cluster.state(f"{children}_{element}") for element in range(3)] == told, 30)
    [left] = cluster.wait_until(lambda: [row for row in cluster.squeue() if row["reason"] == "DependencyNeverSatisfied"])
    assert (left["id"], left["dependency"]) == (f"{children}_1", f"aftercorr:{parents}_*(failed)")


def test_a_node_that_fails_requeues_its_job(cluster: Cluster, tmp_path: Path) -> None:
    job = begun(cluster, "--nodelist=node3", script=f"echo begun >>{tmp_path}/said; sleep 600")
    cluster.fail_node("node3")
    cluster.wait_until(lambda: cluster.state(job) == "PENDING")
    cluster.wait_until(lambda: (tmp_path / "said").read_text() == "begun\n" * 2, 40)
    legs = ["NODE_FAIL", "RUNNING"]
    cluster.wait_until(lambda: [row["State"] for row in cluster.sacct("--duplicates", "-j", job)] == legs)


def test_a_preempted_job_gets_its_own_signal_and_can_requeue_itself(cluster: Cluster, tmp_path: Path) -> None:
    told = f"trap 'echo told >>{tmp_path}/said; scontrol requeue $SLURM_JOB_ID' USR2"
    script = f"echo begun >>{tmp_path}/said; {told}; while sleep 0.1; do :; done"
    job = begun(cluster, "--partition=low", "--nodelist=node2", "--signal=B:USR2@90", script=script)
    high = cluster.preempt("node2")
    cluster.wait_until(lambda: cluster.state(high) == "RUNNING", 20)
    assert cluster.state(job) == "PENDING"
    cluster.cancel(high)
    cluster.wait_until(lambda: (tmp_path / "said").read_text() == "begun\ntold\nbegun\n", 40)


@pytest.mark.soak
def test_a_preempted_job_that_does_not_heed_the_signal_is_requeued(cluster: Cluster) -> None:
    job = begun(cluster, "--partition=low", "--nodelist=node2", "--signal=B:USR2@90", script="trap '' USR2; sleep 600")
    high = cluster.preempt("node2")
    cluster.wait_until(lambda: cluster.state(high) == "RUNNING", 40)
    assert cluster.state(job) == "PENDING"
    cluster.cancel(high)
    cluster.wait_until(lambda: cluster.state(job) == "RUNNING", 40)


@pytest.mark.soak
def test_a_killed_node_requeues_its_job(cluster: Cluster) -> None:
    job = begun(cluster, "--nodelist=node4")
    cluster.kill_node("node4")
    cluster.wait_until(lambda: cluster.state(job) == "PENDING", 90)
    assert cluster.node_states()["node4"].startswith("down")
    cluster.start_node("node4")
    cluster.wait_until(lambda: cluster.state(job) == "RUNNING", 40)


@pytest.mark.soak
def test_a_job_is_told_before_its_time_is_up(cluster: Cluster, tmp_path: Path) -> None:
    script = f"trap 'echo told >{tmp_path}/said' USR2; while sleep 0.1; do :; done"
    job = begun(cluster, "--partition=short", "--signal=B:USR2@30", script=script)
    cluster.wait_until(lambda: cluster.state(job) == "TIMEOUT", 150)
    assert (tmp_path / "said").read_text() == "told\n"


def test_jobs_outlive_their_controller(cluster: Cluster) -> None:
    job = begun(cluster)
    cluster.restart_controller()
    assert cluster.state(job) == "RUNNING"


@pytest.mark.soak
def test_accounting_learns_later_what_happened_while_it_was_away(cluster: Cluster) -> None:
    with cluster.accounting_away():
        job = cluster.sbatch("exit 3")
        cluster.wait_until(lambda: cluster.state(job) == "FAILED")
        with pytest.raises(RuntimeError, match="Problem talking to the database"):
            cluster.sacct()
    cluster.wait_until(lambda: ends(cluster, job) == [("FAILED", "3:0")], 30)


def test_submissions_over_a_limit_are_refused(cluster: Cluster) -> None:
    with cluster.submissions_limited(3):
        cluster.sbatch("sleep 600", "--array=0-1")
        with pytest.raises(RuntimeError, match="AssocMaxSubmitJobLimit"):
            cluster.sbatch("sleep 600", "--array=0-1")
    cluster.sbatch("sleep 600", "--array=0-1")


def test_another_cluster_has_settings_of_its_own(cluster: Cluster, another_cluster: Callable[..., Cluster]) -> None:
    own = another_cluster(nodes=2, extra="MaxArraySize=5")
    assert own.node_states() == {"node1": "idle", "node2": "idle"}
    with pytest.raises(RuntimeError, match="Invalid job array specification"):
        own.sbatch("true", "--array=0-5")
    found = subprocess.run(["scontrol", "show", "nodes", "--oneliner"], capture_output=True, text=True, check=True)
    assert len(found.stdout.splitlines()) == 2, "SLURM_CONF names it"
    cluster.sbatch("true", "--array=0-5")


def test_without_accounting_sacct_fails_and_jobs_run(without_accounting: Cluster) -> None:
    job = without_accounting.sbatch("true")
    without_accounting.wait_until(lambda: without_accounting.state(job) == "COMPLETED")
    with pytest.raises(RuntimeError, match="accounting storage is disabled"):
        without_accounting.sacct()


def test_nothing_disturbs_the_next_test(cluster: Cluster) -> None:
    """Neither jobs that bypass SIGTERM, or wait, nor nodes that are drained or dead."""
    begun(cluster, script="trap '' TERM; sleep 600 & wait; wait")
    cluster.sbatch("true", "--hold")
    cluster.drain_node("node1")
    cluster.kill_node("node2")
    cluster.fail_node("node3")
    assert not cluster.is_undisturbed()
    cluster.undisturb()
    assert cluster.squeue() == []
    assert cluster.node_states() == dict.fromkeys(cluster.names, "idle")
    begun(cluster, "--nodes=4")


def test_nothing_is_left_of_a_cluster_whose_owner_was_killed(cluster: Cluster) -> None:
    """It ran beside the one that all tests share, which goes on."""
    with subprocess.Popen(
        [sys.executable, "-c", OWN], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout
        killed = Cluster(Path(owner.stdout.readline().strip()), nodes=1)
        cluster.wait_until(lambda: len([*killed.processes()]) >= 6, 10)  # three daemons' processes, the step, the script, sleep
        owner.send_signal(signal.SIGKILL)
        cluster.wait_until(lambda: not killed.folder.exists(), 10)
    assert not [*killed.processes()]
    assert str(killed.folder) not in Path("/etc/hosts").read_text()
    assert cluster.is_undisturbed()


def by_hand(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.slurm.cluster", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_person_starts_and_stops_one(cluster: Cluster) -> None:
    folder = cluster.folder / "own"
    try:
        started = by_hand(str(folder), "--nodes", "1")
        assert (started.stdout, started.stderr) == (f"export SLURM_CONF={folder}/slurm.conf\n", "")
        own = Cluster(folder, nodes=1)
        assert own.squeue() == own.sacct() == []
        assert by_hand(str(folder)).stderr == f"{folder} is not empty; name a new folder, or end the cluster in it by --stop\n"
    finally:
        assert by_hand(str(folder), "--stop").returncode == 0
    assert not folder.exists()


def test_only_a_cluster_is_removed(tmp_path: Path) -> None:
    (tmp_path / "slurm.conf").write_text("ClusterName=real\n")
    done = by_hand(str(tmp_path), "--stop")
    assert (done.returncode, done.stderr) == (1, f"{tmp_path} holds no cluster of this kind; nothing is stopped or removed\n")
    assert (tmp_path / "slurm.conf").exists()


def test_a_folder_too_deep_for_sockets_is_refused(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 60)
    done = by_hand(str(deep))
    assert (done.returncode, done.stderr) == (
        1,
        f"{deep} has more than 60 characters, too many for the daemons' sockets\n",
    )
