"""A Step over two nodes: as two processes on one machine, and what befalls one of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simclr_spec.core.files import read_json
from simclr_spec.store.layout import Store
from tests import runs
from tests.slurm import jobs
from tests.slurm.cluster import Cluster

ALONE = jobs.SUPERVISED.format(seeds=[0, 1], train_steps=80)


@pytest.fixture
def together(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Weights of ALONE, each Step trained by two processes of this machine."""
    folder = jobs.spec(tmp_path_factory.mktemp("together"), ALONE)
    store = Store(folder / "runs")
    for step in jobs.steps(folder):
        store.prepare(step.id, step.written({}))
    paths = [str(store.folder(step.id).path) for step in jobs.steps(folder)]
    meeting = {"WORLD_SIZE": "2", "SIMCLR_SPEC_MEETING": str(folder / "meeting"), "SIMCLR_SPEC_THREADS": "1"}
    ranks = [
        subprocess.Popen([sys.executable, "-m", "simclr_spec.train", *paths], env=runs.environment(**meeting, RANK=rank))
        for rank in ("0", "1")
    ]
    assert [rank.wait(runs.PATIENCE) for rank in ranks] == [0, 0]
    return runs.weights(folder)


def process(job: str, rank: str) -> dict[str, str]:
    """Environment of the process that is this rank of the job, and its `pid`."""
    array, _, index = job.partition("_")
    wanted = {"SLURM_ARRAY_JOB_ID": array, "SLURM_ARRAY_TASK_ID": index, "SLURM_PROCID": rank}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            variables = dict(v.partition("=")[::2] for v in (entry / "environ").read_text(errors="replace").split("\0"))
            trains = "slurm.element\0work" in (entry / "cmdline").read_text() and (entry / "comm").read_text() != "srun\n"
        except OSError:  # it has ended meanwhile
            continue
        if trains and wanted.items() <= variables.items():
            return {**variables, "pid": entry.name}
    raise AssertionError(f"no process is rank {rank} of {job}")


def test_a_step_over_two_nodes(cluster: Cluster, tmp_path: Path, together: dict[str, str]) -> None:
    jobs.profile(jobs.spec(tmp_path, ALONE), gpus=1, resources="nodes = 2", retries="killed = 0")
    assert "2 of supervised, each on 2 x 1 GPU for at most 10 min" in jobs.submit(tmp_path)
    warned, killed = jobs.folders(tmp_path)
    jobs.training(cluster, killed)
    jobs.training(cluster, warned)
    ranks = [process(jobs.job(killed), rank) for rank in ("0", "1")]
    assert ranks[0]["SLURMD_NODENAME"] != ranks[1]["SLURMD_NODENAME"]
    visible = {process(jobs.job(of), "0")["CUDA_VISIBLE_DEVICES"] for of in (warned, killed)}
    assert visible == {"0", "1"}, "as Slurm has set it: their first nodes are the same, and a GPU is for one of them"

    os.kill(int(ranks[1]["pid"]), signal.SIGKILL)
    began = time.monotonic()
    cluster.run("scancel", "--signal=USR2", jobs.job(warned))
    jobs.ended(cluster, jobs.job(killed), seconds=30)
    assert time.monotonic() - began < 30
    assert killed.state() == "failed"
    assert read_json(killed.attempts()[-1].record)["error"] in (
        "a process was killed without a word (code 137)",
        "another process of this Step died",
    )
    assert jobs.submit(tmp_path, name="retry").count("- job") == 1
    jobs.ended(cluster, jobs.job(warned), jobs.job(killed))
    assert [of.done for of in (warned, killed)] == [True, True], jobs.status(tmp_path)
    assert [len(of.attempts()) for of in (warned, killed)] == [2, 2]
    assert all(jobs.done_by_one(of) for of in (warned, killed))
    assert runs.weights(tmp_path) == together
    ends = warned.store.array(warned.queued_as().array).ends(0).read_text()  # type: ignore[union-attr]
    assert ends.count('"why": "preemption"') == ends.count("\n") == 1
