"""The tiny spec of tests/runs.py on the cluster: submitted as a user would, and what became of it."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from simclr_spec.dispatch.slurm import ledger
from simclr_spec.store.layout import RunFolder, Store
from tests import runs
from tests.slurm.cluster import Cluster

RUNNER = """
kind = "slurm"
machine = "cpu"
grace_seconds = 5
{more}
[resources]
partition = "main"
gpus_per_node = 0
minutes = 10
memory_gib = 1
"""


def options(folder: Path, more: str = "") -> tuple[str, str]:
    """`--runner folder/cluster.toml`, a profile with `more` lines."""
    (folder / "cluster.toml").write_text(RUNNER.format(more=more))
    return "--runner", str(folder / "cluster.toml")


def submit(folder: Path, *more: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`simclr-spec run tiny.toml --runner cluster.toml`."""
    if not (folder / "cluster.toml").exists():
        options(folder)
    command = runs.command(folder, "--runner", str(folder / "cluster.toml"), *more)
    values = {**runs.environment(), **variables}
    return subprocess.run(command, capture_output=True, text=True, env=values, timeout=300, check=False)


def write(folder: Path, *, seeds: Iterable[int] = (0,), without: Iterable[str] = ()) -> None:
    """The spec, with other seeds, or without some stages."""
    first, *stages = runs.SPEC.replace("seeds = [0]", f"seeds = {list(seeds)}").split("\n[stages.")
    kept = [stage for stage in stages if stage.partition("]")[0] not in without]
    (folder / "tiny.toml").write_text("\n[stages.".join([first, *kept]))


def folders(folder: Path) -> list[RunFolder]:
    return [*Store(folder / "runs").folders()]


def jobs(folder: Path, cluster: Cluster) -> Mapping[str, list[str]]:
    """Step -> state of every job that there was or is for it in the queue, by the names of the arrays in the store."""
    store = Store(folder / "runs")
    rows = cluster.run("squeue", "--noheader", "--array", "--states=all", "--format=%j|%K|%T").splitlines()
    found: dict[str, list[str]] = {step.path.relative_to(store.path).as_posix(): [] for step in store.folders()}
    arrays = {path.name: store.array(path.name) for path in store.arrays.iterdir() if (path / "array.json").exists()}
    for name, index, state in (row.split("|") for row in rows):
        if name in arrays and not name.startswith("rest-") and index != "N/A":  # of those that were cancelled waiting
            found[ledger.read_intent(arrays[name]).elements[int(index)]].append(state)
    return found


def strangers(folder: Path, cluster: Cluster) -> list[str]:
    """Jobs in the queue that no array of the store knows."""
    store = Store(folder / "runs")
    return [row["name"] for row in cluster.squeue() if not store.array(row["name"]).intent.exists()]


def begun(folder: Path) -> Counter[str]:
    """Step -> how many jobs of it began, by what they left in the store."""
    return Counter({step.path.parent.name + "/" + step.path.name: len(step.attempts()) for step in folders(folder)})


def finished(folder: Path, cluster: Cluster, seconds: float = 150.0) -> None:
    """Wait until no job is left."""
    cluster.wait_until(lambda: not cluster.squeue(), seconds)
    assert all(step.done for step in folders(folder)), {step.path.name: step.state() for step in folders(folder)}
