"""Faults that take minutes to come about, or a cluster of their own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simclr_spec.core.files import read_json
from simclr_spec.store.layout import RunFolder
from tests import runs
from tests.disks import fill, mounted
from tests.slurm import jobs
from tests.slurm.cluster import Cluster

pytestmark = pytest.mark.soak
ONE = jobs.SUPERVISED.format(seeds=[0], train_steps=120)
LONG = jobs.SUPERVISED.format(seeds=[0], train_steps=9000)


@pytest.fixture(scope="session")
def undisturbed_one(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return _weights(tmp_path_factory.mktemp("one"), ONE)


def _weights(folder: Path, text: str) -> dict[str, str]:
    """Of a run on this machine."""
    done = runs.run(jobs.spec(folder, text), "--runner", "local")
    assert done.returncode == 0, done.stdout + done.stderr
    return runs.weights(folder)


def begun(cluster: Cluster, folder: Path, text: str = ONE, **more: Any) -> tuple[RunFolder, int]:
    """The one Step of a spec, and the process that trains it."""
    jobs.profile(jobs.spec(folder, text), **more)
    jobs.submit(folder)
    (of,) = jobs.folders(folder)
    return of, jobs.training(cluster, of)


def is_as(folder: Path, weights: dict[str, str]) -> None:
    assert jobs.states(folder) == ["done"], jobs.status(folder)
    assert all(jobs.done_by_one(of) for of in jobs.folders(folder))
    assert runs.weights(folder) == weights


def test_a_step_that_is_out_of_time_again_and_again(cluster: Cluster, tmp_path: Path) -> None:
    of, _ = begun(cluster, tmp_path, LONG, partition="short", minutes=1, retries="timeout = 40")
    jobs.ended(cluster, jobs.job(of), seconds=1800)
    assert len(jobs.ends(of)) >= 2
    assert set(jobs.ends(of)) == {"timeout"}
    (other := tmp_path / "other").mkdir()
    is_as(tmp_path, _weights(other, LONG))


def test_preempted_without_a_warning(
    another_cluster: Callable[..., Cluster], tmp_path: Path, undisturbed_one: dict[str, str]
) -> None:
    """SIGTERM, and SIGKILL a little later, to all at once: nobody is left to write anything down."""
    own = another_cluster(nodes=2, accounting=True, extra="SlurmctldParameters=idle_on_node_suspend")
    of, _ = begun(own, tmp_path, partition="low")
    high = own.preempt(own.squeue()[0]["nodes"])
    own.wait_until(lambda: own.state(high) == "RUNNING")
    assert "queued" in jobs.status(tmp_path)
    own.wait_until(lambda: of.last_attempt() == 2, 120)
    own.cancel(high)
    jobs.ended(own, jobs.job(of))
    is_as(tmp_path, undisturbed_one)
    assert read_json(of.attempts()[-1].record)["resumed_from"]


def daemons(cluster: Cluster, name: str) -> list[int]:
    """Processes of the cluster whose name begins so."""
    return [pid for pid in cluster.processes() if Path(f"/proc/{pid}/comm").read_text().startswith(name)]


def test_the_daemons_of_a_running_job_are_killed(cluster: Cluster, tmp_path: Path, undisturbed_one: dict[str, str]) -> None:
    """That of the node, which comes back; then those that look after the job's steps, and the training with them."""
    of, _ = begun(cluster, tmp_path)
    node = cluster.squeue()[0]["nodes"]
    slurmd = int((cluster.folder / "run" / f"slurmd-{node}.pid").read_text())
    os.kill(slurmd, signal.SIGKILL)
    cluster.wait_until(lambda: slurmd not in cluster.processes())
    cluster.start_node(node)
    pid = jobs.training(cluster, of)
    for step in daemons(cluster, "slurmstepd"):
        os.kill(step, signal.SIGKILL)
    runs.kill(pid)
    cluster.wait_until(lambda: of.done or of.last_attempt() == 2, 300)
    jobs.ended(cluster, jobs.job(of), seconds=300)
    if not of.done:
        jobs.status(tmp_path)
        jobs.submit(tmp_path)
        jobs.ended(cluster, jobs.job(of))
    is_as(tmp_path, undisturbed_one)


def test_the_controller_is_away_while_a_job_is_to_begin_again(
    cluster: Cluster, tmp_path: Path, undisturbed_one: dict[str, str]
) -> None:
    of, pid = begun(cluster, tmp_path)
    with cluster.controller_away():
        os.kill(pid, signal.SIGUSR2)
        runs.wait_for(lambda: jobs.ends(of) == ["preemption"])
        told = jobs.status(tmp_path)
        assert "queued Steps are shown as they were last seen" in told
        assert jobs.states(tmp_path) == ["queued"]
    jobs.ended(cluster, jobs.job(of))
    is_as(tmp_path, undisturbed_one)
    assert len(of.attempts()) == 2


def test_a_paused_process_wakes_after_its_lease_was_taken(
    cluster: Cluster, tmp_path: Path, undisturbed_one: dict[str, str]
) -> None:
    """The lease is lost as on a file system whose locks are not seen; the Step is done meanwhile."""
    of, pid = begun(cluster, tmp_path)
    os.kill(pid, signal.SIGSTOP)
    of.lease.unlink()
    done = runs.run(tmp_path, "--runner", "local")
    assert done.returncode == 0, done.stdout + done.stderr
    result = of.result.read_bytes()
    os.kill(pid, signal.SIGCONT)
    jobs.ended(cluster, jobs.job(of))
    assert of.result.read_bytes() == result
    assert len(of.attempts()) == 2
    assert cluster.state(jobs.job(of)) == "COMPLETED", "what waits for it may begin"
    is_as(tmp_path, undisturbed_one)


def test_memory_that_ran_out(another_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    own = another_cluster(accounting=True, extra="JobAcctGatherParams=OverMemoryKill")
    jobs.profile(jobs.spec(tmp_path, ONE), more='srun = ["--mem=100M"]', retries="killed = 5\nerror = 5")
    jobs.submit(tmp_path)
    (of,) = jobs.folders(tmp_path)
    jobs.ended(own, jobs.job(of))
    told = jobs.status(tmp_path)
    job = jobs.job(of)
    assert f"memory ran out under job {job}: ask for more memory_gib, or spread the Step over more nodes\n" in told
    assert (jobs.states(tmp_path), jobs.ends(of)) == (["failed"], [])


def test_a_store_that_others_fill_while_its_job_trains(
    cluster: Cluster, tmp_path: Path, undisturbed_one: dict[str, str]
) -> None:
    """With room again, `run` goes on from the last whole checkpoint."""
    with mounted(tmp_path / "disk", "20m") as disk:
        of, _ = begun(cluster, disk)
        while cluster.state(jobs.job(of)) == "RUNNING":  # a checkpoint that is replaced frees what the next one takes
            fill(disk / "ballast")
        assert jobs.states(disk) in (["failed"], ["interrupted"])
        assert jobs.ends(of) == []
        (disk / "ballast").unlink()
        said = jobs.status(disk)
        assert "the disk is full" in said or "interrupted" in said
        jobs.submit(disk)
        jobs.ended(cluster, jobs.job(of))
        is_as(disk, undisturbed_one)
        assert read_json(of.attempts()[-1].record)["resumed_from"]
