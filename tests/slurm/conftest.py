"""Fixtures over a real Slurm; tests/slurm/cluster.py says what a `Cluster` can be asked and made to do.

A test names `cluster` and uses Slurm as anyone would: what it calls or starts finds the cluster by SLURM_CONF. It may leave
jobs behind, kill or drain nodes and stop the controller: after each test all is mended. Tests of minutes are marked `soak`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, throwaway
from tests.slurm.daemons import FOREIGN, missing


@pytest.fixture(scope="session")
def _cluster() -> Iterator[Cluster]:
    if sentence := missing():
        pytest.skip(sentence)
    with throwaway() as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def cluster(_cluster: Cluster, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Four nodes of 4 CPUs and 2 GPUs (which are not there), partitions main, low, high (preempts low) and short (one minute).

    One for all tests, undisturbed when a test begins. A test that fails shows what the controller logged meanwhile.
    """
    for name in [name for name in os.environ if name.startswith(FOREIGN)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SLURM_CONF", str(_cluster.conf))
    with (_cluster.folder / "log" / "slurmctld.log").open() as log:
        log.seek(0, 2)
        yield _cluster
        request.node.add_report_section("teardown", "slurmctld.log", log.read())
    _cluster.undisturb()


@pytest.fixture
def another_cluster(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Cluster]]:
    """Starts a cluster of the test's own, in a second: `another_cluster(extra="MaxArraySize=5")`. From then on it is the one.

    It has one node, and no accounting, unless told otherwise (`nodes=2, accounting=True`).
    """
    with contextlib.ExitStack() as stack:

        def start(nodes: int = 1, accounting: bool = False, extra: str = "") -> Cluster:
            started = stack.enter_context(throwaway(nodes, accounting, extra))
            monkeypatch.setenv("SLURM_CONF", str(started.conf))
            return started

        yield start


@pytest.fixture
def without_accounting(another_cluster: Callable[..., Cluster]) -> Cluster:
    """A cluster of one node where `sacct` says that accounting is disabled, and fails."""
    return another_cluster()


@pytest.fixture
def sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts another sbatch before the real one, which its lines of shell call as `"$REAL" "$@"`."""
    real, folder = shutil.which("sbatch"), tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def replace(script: str) -> None:
        (folder / "sbatch").write_text(f"#!/bin/bash\nREAL={real}\n{script}\n")
        (folder / "sbatch").chmod(0o755)

    return replace
