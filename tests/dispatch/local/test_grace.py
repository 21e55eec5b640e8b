"""A worker that does not stop within its grace, here one that is frozen as by a hanging device, is killed, and not before."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from simclr_spec.core.files import read_json
from simclr_spec.dispatch.board import Board
from simclr_spec.dispatch.local import dispatcher
from simclr_spec.dispatch.run import run
from simclr_spec.dispatch.task import Task
from simclr_spec.language.runner import Local
from simclr_spec.plan import compile
from simclr_spec.store.layout import Store
from tests import runs

GRACE = 1.5
PATIENCE = 60.0


class Freezes:
    """Once a Step has a checkpoint its worker is frozen, and the run is asked to stop so many times."""

    def __init__(self, signals: int) -> None:
        self.signals, self.frozen_at, self.began = signals, 0.0, time.monotonic()

    def changed(self, _board: Board, _task: Task) -> None:
        pass

    def tick(self, board: Board) -> None:
        assert time.monotonic() - self.began < PATIENCE, "it was never killed"
        for task in board.in_state("running"):
            attempt = task.attempt()
            if not self.frozen_at and attempt and attempt.checkpoint.exists():
                os.kill(read_json(attempt.record)["pid"], signal.SIGSTOP)
                self.frozen_at = time.monotonic()
                for _ in range(self.signals):
                    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    ("signals", "timeout_minutes", "state"), [(1, None, "interrupted"), (2, None, "interrupted"), (0, 1e-4, "failed")]
)
def test_a_frozen_worker_is_killed_after_the_grace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signals: int, timeout_minutes: float | None, state: str
) -> None:
    """Asked by one signal or because of a timeout; of two signals the second kills at once."""
    monkeypatch.setattr(dispatcher, "GRACE_SECONDS", GRACE)
    monkeypatch.setenv("SIMCLR_SPEC_CHECKPOINT_STEPS", "1")
    (tmp_path / "tiny.toml").write_text(runs.SPEC)
    plan = compile([str(tmp_path / "tiny.toml")], sets=runs.sets("supervised.train_steps=1000000"))
    step = next(step for step in plan.steps if step.kind == "supervised")
    watcher = Freezes(signals)
    if timeout_minutes is not None:  # which is over before the checkpoint: stopped there, it must not leave before it is frozen
        monkeypatch.setattr(dispatcher.Slots, "_limit", lambda slots: _late_once_frozen(slots, watcher))
    runner = Local(slots=1, timeout_minutes=timeout_minutes)
    outcome = run(plan, [step], Store(tmp_path / "runs"), runner, watcher, seconds={step.fingerprint: 1.0})
    waited = time.monotonic() - watcher.frozen_at
    (task,) = outcome.board.tasks.values()
    assert task.state == state
    assert outcome.stopped == bool(signals)
    assert (waited > GRACE) == (signals < 2)
    assert waited < GRACE + dispatcher.GRACE_SECONDS + 5.0
    assert task.folder.is_free(), "its process is gone"


LIMIT = dispatcher.Slots._limit


def _late_once_frozen(slots: dispatcher.Slots, watcher: Freezes) -> None:
    if watcher.frozen_at:
        LIMIT(slots)
