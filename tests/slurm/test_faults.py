"""Whatever befalls a job: its Step ends with one result, and with the weights that it would have had anyway."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from simclr_spec.core.files import read_json, write_json
from simclr_spec.store.layout import RunFolder, Store
from tests import runs
from tests.slurm import jobs
from tests.slurm.cluster import Cluster

SEEDS = [0, 1, 2, 3]
ALONE = jobs.SUPERVISED.format(seeds=SEEDS, train_steps=120)
CHAIN = jobs.CHAIN.format(train_steps=120)
DIVERGES = """
[stages.diverges]
kind = "supervised"
labels_per_class = [2]
train_steps = 20
learning_rate = 1e30
learning_rate_scaling = "none"
warmup = 0.0
"""


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Weights of a run of ALONE that nothing befell, on this machine."""
    folder = jobs.spec(tmp_path_factory.mktemp("alone"), ALONE)
    done = runs.run(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return runs.weights(folder)


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = jobs.spec(tmp_path_factory.mktemp("chain"), CHAIN)
    done = runs.run(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return runs.weights(folder)


def all_done(folder: Path, weights: dict[str, str]) -> None:
    """As if nothing had happened."""
    assert jobs.states(folder) == ["done"] * len(weights), jobs.status(folder)
    assert all(jobs.done_by_one(of) for of in jobs.folders(folder))
    assert runs.weights(folder) == weights


def began_again(cluster: Cluster, of: RunFolder, since: int) -> int:
    """The process that trains in an attempt after number `since`."""
    cluster.wait_until(lambda: of.last_attempt() > since, 90)
    return jobs.training(cluster, of)


def test_killed_told_to_stop_and_with_damaged_checkpoints_jobs_begin_again(
    cluster: Cluster, tmp_path: Path, alone: dict[str, str]
) -> None:
    """Each Step of one array another fault; meanwhile the controller starts anew, and the waiting are moved."""
    jobs.profile(jobs.spec(tmp_path, ALONE), retries="killed = 1")
    jobs.submit(tmp_path)
    killed, warned, truncated, flipped = jobs.folders(tmp_path)
    for of in (killed, truncated, flipped):
        os.kill(jobs.training(cluster, of), signal.SIGKILL)
    jobs.training(cluster, warned)
    cluster.run("scancel", "--signal=USR2", jobs.job(warned))
    cluster.wait_until(lambda: all(jobs.ends(of) for of in jobs.folders(tmp_path)), 60)
    data = (damaged := truncated.attempts()[-1].checkpoint).read_bytes()
    damaged.write_bytes(data[: len(data) // 2])
    data = (damaged := flipped.attempts()[-1].checkpoint).read_bytes()
    damaged.write_bytes(data[:-5] + bytes([data[-5] ^ 64]) + data[-4:])
    assert "queued" in jobs.status(tmp_path)
    assert jobs.submit(tmp_path).count("- job") == 0, "they come back by themselves"
    cluster.run("scontrol", "update", f"jobid={jobs.job(killed)}", "partition=low")
    cluster.restart_controller()
    began_again(cluster, warned, since=1)
    cluster.run("scancel", "--signal=USR2", jobs.job(warned))
    jobs.ended(cluster, *map(jobs.job, jobs.folders(tmp_path)))
    all_done(tmp_path, alone)
    assert [jobs.ends(of) for of in jobs.folders(tmp_path)] == [["killed"], ["preemption"] * 2, ["killed"], ["killed"]]
    resumed = [read_json(of.attempts()[-1].record)["resumed_from"] for of in jobs.folders(tmp_path)]
    assert resumed[0]
    assert resumed[1]["attempt"] == 2
    assert not resumed[2], "half a checkpoint"
    assert not resumed[3], "another bit"
    assert "its bytes are not those that were written" in flipped.attempts()[-1].log.read_text()
    assert (cluster.state(jobs.job(killed)), len(jobs.ends(killed))) == ("COMPLETED", 1)


def test_cancelled_by_hand_and_failed_parents_go_on_with_run_and_retry(
    cluster: Cluster, tmp_path: Path, chain: dict[str, str]
) -> None:
    jobs.profile(jobs.spec(tmp_path, CHAIN), retries="killed = 0")
    jobs.submit(tmp_path)
    pretrain, finetune = jobs.folders(tmp_path)
    jobs.training(cluster, pretrain)
    both = [jobs.job(pretrain), jobs.job(finetune)]
    cluster.cancel(both[0])
    jobs.ended(cluster, *both)
    assert f"‖ pretrain r18-1x-digits-s0: job {both[0]} was cancelled by root\n" in jobs.status(tmp_path)
    assert jobs.states(tmp_path) == ["interrupted", "new"], "nobody cancelled the child"

    jobs.submit(tmp_path)
    both = [jobs.job(pretrain), jobs.job(finetune)]
    cluster.cancel(both[0])
    jobs.ended(cluster, *both)
    told = jobs.status(tmp_path)
    assert f"job {both[0]} was cancelled by root\n" in told, "before its first line"
    assert jobs.states(tmp_path) == ["interrupted", "new"]

    jobs.submit(tmp_path)
    os.kill(jobs.training(cluster, pretrain), signal.SIGKILL)
    jobs.ended(cluster, jobs.job(pretrain), jobs.job(finetune))
    told = jobs.status(tmp_path)
    assert "✗ pretrain r18-1x-digits-s0: a process was killed without a word (code 137)\n" in told
    assert jobs.states(tmp_path) == ["failed", "new"]
    assert len(pretrain.attempts()) == 2

    assert jobs.submit(tmp_path, name="retry").count("- job") == 2
    jobs.ended(cluster, jobs.job(pretrain), jobs.job(finetune))
    all_done(tmp_path, chain)
    assert read_json(pretrain.attempts()[-1].record)["resumed_from"]["attempt"] == 2


def test_preempted_and_on_a_failed_node_jobs_begin_again_elsewhere(
    cluster: Cluster, tmp_path: Path, alone: dict[str, str]
) -> None:
    jobs.profile(jobs.spec(tmp_path, ALONE), partition="low")
    jobs.submit(tmp_path, "seed=0,1")
    first, second, *others = jobs.folders(tmp_path)
    jobs.training(cluster, first)
    jobs.training(cluster, second)
    (node,) = {row["nodes"] for row in cluster.squeue()}
    high = cluster.preempt(node)
    began_again(cluster, first, since=1)
    failing = {row["id"]: row["nodes"] for row in cluster.squeue()}[jobs.job(first)]
    assert failing != node
    assert jobs.ends(first) == ["preemption"], "counted once, though Slurm meant to requeue it, too"
    cluster.cancel(high)
    cluster.fail_node(failing)
    began_again(cluster, first, since=2)
    told = jobs.submit(tmp_path, "seed=2,3")
    assert told.count("- job") == 1
    script = first.store.array(jobs.folders(tmp_path)[2].queued_as().array).script.read_text()  # type: ignore[union-attr]
    assert f"#SBATCH --exclude={failing}\n" in script
    jobs.ended(cluster, *map(jobs.job, jobs.folders(tmp_path)))
    all_done(tmp_path, alone)
    assert failing not in {row["NodeList"] for row in cluster.sacct(f"--jobs={','.join(map(jobs.job, others))}")}


def test_a_job_that_vanishes_is_unknown_and_submitted_again_once(
    another_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    """Slurm without accounting forgets at once what it cancelled."""
    own = another_cluster(extra="MinJobAge=2")
    own.drain_node("node1")
    jobs.profile(jobs.spec(tmp_path, CHAIN))
    pretrain, _ = jobs.folders(tmp_path)
    jobs.submit(tmp_path, "stage=pretrain")
    for state in ("unknown", "failed"):
        own.cancel(jobs.job(pretrain).partition("_")[0])
        own.wait_until(lambda: not own.squeue("--states=all"))
        told = jobs.status(tmp_path)
        assert jobs.states(tmp_path) == [state, "new"], told
        if state == "unknown":
            assert f"? pretrain r18-1x-digits-s0: job {jobs.job(pretrain)} is gone, and Slurm does not say how it ended" in told
            assert jobs.submit(tmp_path, "stage=pretrain").count("- job") == 1
    assert "✗ pretrain r18-1x-digits-s0: its job vanished twice before it began, and Slurm does not say why" in told


def test_without_an_answer_nothing_is_concluded(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """squeue and scontrol fail as they do while the controller is away, but at once."""
    for node in cluster.names:
        cluster.drain_node(node)
    jobs.profile(jobs.spec(tmp_path, CHAIN))
    jobs.submit(tmp_path)
    for program in ("squeue", "scontrol", "scancel"):
        (tmp_path / program).write_text(
            "#!/bin/sh\necho slurm_load_jobs error: Unable to contact slurm controller >&2; exit 1\n"
        )
        (tmp_path / program).chmod(0o755)
    before = [jobs.job(of) for of in jobs.folders(tmp_path)]
    with monkeypatch.context() as away:
        away.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        told = jobs.status(tmp_path)
        assert "Unable to contact slurm controller: queued Steps are shown as they were last seen\n" in told
        assert jobs.states(tmp_path) == ["queued", "queued"]
        assert "Unable to contact slurm controller" in jobs.submit(tmp_path, code=1)
        refused = runs.run(tmp_path, name="cancel")
        assert refused.returncode == 1
        assert "Unable to contact slurm controller" in refused.stderr
    jobs.status(tmp_path)
    assert [jobs.job(of) for of in jobs.folders(tmp_path)] == before
    assert jobs.states(tmp_path) == ["queued", "queued"]


def test_a_loss_that_is_not_finite_is_never_retried_and_an_older_result_never_taken(
    cluster: Cluster, tmp_path: Path, alone: dict[str, str]
) -> None:
    jobs.profile(
        jobs.spec(tmp_path, jobs.SUPERVISED.format(seeds=[0], train_steps=120) + DIVERGES), retries="error = 3\nkilled = 3"
    )
    fine, diverges = jobs.steps(tmp_path)
    store = Store(tmp_path / "runs")
    store.prepare(fine.id, fine.written({}))
    older = store.folder(fine.id).new_attempt()
    write_json(older.record, {"state": "running", "error": None, "failure": None})
    write_json(older.result, {"fingerprint": fine.fingerprint, "metrics": {"top1": 1.0}, "weights": "attempts/1/none"})
    jobs.submit(tmp_path)
    jobs.ended(cluster, *map(jobs.job, jobs.folders(tmp_path)))
    told = jobs.status(tmp_path)
    assert jobs.states(tmp_path) == ["done", "failed"], told
    assert read_json(store.folder(fine.id).result)["weights"].startswith("attempts/2/")
    assert runs.weights(tmp_path, only=fine.id) == {fine.id: alone[fine.id]}
    assert "the loss became" in told
    assert len(store.folder(diverges.id).attempts()) == 1
    assert jobs.ends(store.folder(diverges.id)) == []
