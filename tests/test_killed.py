"""Killed at any instant, a run goes on and ends with the weights it would have had."""

from __future__ import annotations

import contextlib
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from simclr_spec.core.files import read_json
from simclr_spec.store.layout import Store
from tests import runs

KILLS = 20


@pytest.fixture
def ended() -> Iterator[contextlib.ExitStack]:
    """At the end of the test, and not before: workers may outlive their runner for a while."""
    with contextlib.ExitStack() as stack:
        yield stack


def test_sigkill_at_random_instants_changes_no_bit_of_the_weights(
    tmp_path: Path, undisturbed: Path, ended: contextlib.ExitStack
) -> None:
    """Workers, the runner, or all at once, while they start, train, checkpoint, commit; then the same command again."""
    chance = random.Random(20)
    killed = {"worker": 0, "runner": 0, "all": 0}
    for _ in range(3 * KILLS):
        process = ended.enter_context(runs.started(tmp_path))
        while process.poll() is None and sum(killed.values()) < KILLS:
            if chance.random() < 0.8:  # soon after a checkpoint; else at a moment that has nothing to do with it
                _wait_for_training(process, tmp_path)
            time.sleep(chance.uniform(0.0, 0.2))
            whom = chance.choice(["worker", "worker", "runner", "all"])
            killed[whom] += _kill(process, whom)
        process.communicate(timeout=runs.PATIENCE)
        if process.returncode == 0:
            break
    assert sum(killed.values()) == KILLS, f"finished after {killed}"
    assert min(killed.values()) >= 3, killed
    assert runs.weights(tmp_path) == runs.weights(undisturbed)
    _were_resumed(tmp_path)


def _wait_for_training(process: subprocess.Popen[str], folder: Path) -> None:
    kinds = ("pretrain", "finetune", "linear_eval", "supervised", "distill")
    runs.wait_for(lambda: process.poll() is not None or any(runs.working(folder, kind) for kind in kinds))


def _kill(process: subprocess.Popen[str], whom: str) -> bool:
    """False when there was nobody to kill."""
    workers = runs.workers(process.pid)
    if process.poll() is not None or (whom == "worker" and not workers):
        return False
    if whom != "worker":
        runs.kill(process.pid)
    for worker in {"all": workers, "worker": workers[:1], "runner": []}[whom]:
        runs.kill(worker)
    return True


def _were_resumed(folder: Path) -> None:
    """The kills fell into training: some attempts went on from another's checkpoint, and each Step has its one result."""
    resumed = 0
    for run_folder in Store(folder / "runs").folders():
        records = [read_json(attempt.record) for attempt in run_folder.attempts()]
        # a worker killed before it could write its record leaves none, or the few lines that the runner wrote for it
        resumed += sum(bool(record and record.get("resumed_from")) for record in records)
        assert run_folder.done
        assert len([record for record in records if record and record["state"] == "done"]) <= 1
        assert not [path for attempt in run_folder.attempts() for path in attempt.path.glob("*checkpoint*")]
    assert resumed >= KILLS / 4
