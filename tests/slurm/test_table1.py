"""The paper's Table 1 in small on a cluster that loses a node and preempts: the same table as on one machine alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from simclr_spec.core.files import read_json
from simclr_spec.plan import compile
from simclr_spec.store.layout import Store
from tests import runs
from tests.slurm import jobs
from tests.slurm.cluster import Cluster

SETS = ["encoder.base_width=2", "batch=64", "train_steps=12"]
STEPS = 78
PATIENCE = 3600


def table1(store: Path, name: str, *options: str) -> str:
    sets = [word for value in SETS for word in ("--set", value)]
    where = ["table1", "--scale", "digits", *sets, "--store", str(store)]
    done = subprocess.run(
        [sys.executable, "-m", "simclr_spec", name, *where, *options],
        capture_output=True,
        text=True,
        env=runs.environment(SIMCLR_SPEC_CHECKPOINT_STEPS="4"),
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def metrics(store: Path) -> dict[str, object]:
    """Of every Step."""
    plan = compile(["table1"], scale="digits", sets=SETS)
    return {step.id: read_json(Store(store).folder(step.id).result)["metrics"] for step in plan.steps}


@pytest.mark.soak
def test_table_1_on_a_cluster_with_a_dead_node_and_a_preemption(cluster: Cluster, tmp_path: Path) -> None:
    jobs.profile(tmp_path, partition="low", more="parallelism = 3")
    store = tmp_path / "runs"
    told = table1(store, "run", "--runner", str(tmp_path / "slurm.toml"))
    assert told.count("- job") == 6, told
    folders = list(Store(store).folders())
    assert len(folders) == STEPS

    def done() -> int:
        return sum(folder.done for folder in folders)

    def running() -> list[str]:
        return [row["nodes"] for row in cluster.squeue("--state=RUNNING")]

    cluster.wait_until(lambda: done() >= 5 and running(), PATIENCE)
    dead = running()[0]
    cluster.kill_node(dead)
    cluster.wait_until(lambda: "down" in cluster.node_states()[dead], 120)
    cluster.start_node(dead)
    cluster.wait_until(lambda: done() >= 20 and running(), PATIENCE)
    high = cluster.preempt(running()[0])
    cluster.wait_until(lambda: cluster.state(high) == "RUNNING")
    cluster.cancel(high)
    cluster.wait_until(lambda: not cluster.squeue(), PATIENCE)

    assert done() == STEPS, runs.run(tmp_path, name="status").stdout
    ends = {row["State"] for row in cluster.sacct("--duplicates", "--starttime=now-2hours")}
    assert {"NODE_FAIL", "COMPLETED"} <= ends
    assert ends & {"PREEMPTED", "REQUEUED"}
    alone = tmp_path / "alone"
    table1(alone, "run")
    assert metrics(store) == metrics(alone)
    cells = [json.loads(table1(of, "report", "--format", "json")) for of in (store, alone)]
    assert cells[0]["cells"] == cells[1]["cells"]
