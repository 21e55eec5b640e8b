"""Whatever befalls a job: its Step ends with one result, and with the weights that it would have had anyway."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from simclr_spec.core.files import read_json
from simclr_spec.store.layout import RunFolder
from tests import runs
from tests.slurm import jobs
from tests.slurm.cluster import Cluster, throwaway

SEEDS = [0, 1, 2, 3]
ALONE = jobs.SUPERVISED.format(seeds=SEEDS, train_steps=200)
CHAIN = jobs.CHAIN.format(train_steps=200)


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


def ends(of: RunFolder) -> list[str]:
    """Why its job began again, each time."""
    from simclr_spec.dispatch.slurm import ledger

    queued = of.queued_as()
    assert queued
    return [end["why"] for end in ledger.ends(of.store.array(queued.array), queued.index)]


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
    cluster.wait_until(lambda: all(ends(of) for of in jobs.folders(tmp_path)), 60)
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
    assert [ends(of) for of in jobs.folders(tmp_path)] == [["killed"], ["preemption"] * 2, ["killed"], ["killed"]]
    resumed = [read_json(of.attempts()[-1].record)["resumed_from"] for of in jobs.folders(tmp_path)]
    assert resumed[0]
    assert resumed[1]["attempt"] == 2
    assert not resumed[2], "half a checkpoint"
    assert not resumed[3], "another bit"
    assert "its bytes are not those that were written" in flipped.attempts()[-1].log.read_text()
    assert (cluster.state(jobs.job(killed)), len(ends(killed))) == ("COMPLETED", 1)
