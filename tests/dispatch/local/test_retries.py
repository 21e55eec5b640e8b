"""What begins again by itself, how often, and what never does."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from simclr_spec.core.files import read_json
from simclr_spec.dispatch.board import Board
from simclr_spec.dispatch.run import Ending, run
from simclr_spec.dispatch.task import Task
from simclr_spec.language.runner import Local, Retries
from simclr_spec.plan import compile
from simclr_spec.store.layout import Store
from tests import runs
from tests.dispatch.silent import Silent

DIED = "its process ended without a word: it was killed, perhaps because memory ran out"


class Kills(Silent):
    """The workers of the first so many attempts, once these have a checkpoint."""

    def __init__(self, attempts: int = 0) -> None:
        super().__init__()
        self.numbers, self.whys = [*range(1, attempts + 1)], list[str]()

    def changed(self, board: Board, task: Task) -> None:
        super().changed(board, task)
        self.whys += [task.why] if task.why else []

    def tick(self, board: Board) -> None:
        for task in board.in_state("running"):
            attempt = task.attempt()
            if attempt and attempt.number in self.numbers and attempt.checkpoint.exists():
                self.numbers.remove(attempt.number)
                os.kill(read_json(attempt.record)["pid"], signal.SIGKILL)


def ran(folder: Path, watcher: Kills, retries: Retries, *more: str) -> Ending:
    (folder / "tiny.toml").write_text(runs.SPEC)
    plan = compile([str(folder / "tiny.toml")], sets=runs.sets(*more))
    step = next(step for step in plan.steps if step.kind == "supervised")
    runner = Local(slots=1, retries=retries)
    return run(plan, [step], Store(folder / "runs"), runner, watcher, seconds={step.fingerprint: 1.0})


def failures(outcome: Ending) -> list[str | None]:
    (task,) = outcome.board.tasks.values()
    return [read_json(attempt.record)["failure"] for attempt in task.folder.attempts()]


def test_a_killed_step_begins_again_so_many_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMCLR_SPEC_CHECKPOINT_STEPS", "1")
    watcher = Kills(2)
    outcome = ran(tmp_path, watcher, Retries(killed=1, error=5), "supervised.train_steps=100000")
    assert failures(outcome) == ["killed", "killed"]
    assert watcher.whys == [f"failed, attempt 2 of 2 begins: {DIED}", DIED]
    assert len(outcome.failed) == 1
    (task,) = outcome.board.tasks.values()
    assert read_json(task.folder.attempts()[1].record)["resumed_from"]["attempt"] == 1


def test_an_error_is_tried_again_so_many_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMCLR_SPEC_CHECKPOINT_STEPS", "seldom")
    watcher, error = Kills(), "ValueError: invalid literal for int() with base 10: 'seldom'"
    outcome = ran(tmp_path, watcher, Retries(killed=0, error=2))
    assert failures(outcome) == ["error"] * 3
    assert watcher.whys == [f"failed, attempt {number} of 3 begins: {error}" for number in (2, 3)] + [error]


def test_what_would_come_again_is_not_tried_again(tmp_path: Path) -> None:
    watcher = Kills()
    outcome = ran(tmp_path, watcher, Retries(killed=5, error=5), "supervised.learning_rate=1e30")
    assert failures(outcome) == [None]
    (why,) = watcher.whys
    assert "the loss became" in why
