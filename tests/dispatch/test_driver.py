"""The driver knows a dispatcher by its verbs: here a scheduler that queues, loses sight of its jobs, and outlives the run."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from simclr_spec.core.states import TaskState
from simclr_spec.dispatch.board import Board
from simclr_spec.dispatch.dispatcher import Change, Dispatcher
from simclr_spec.dispatch.driver import Driver, stopping
from simclr_spec.dispatch.task import Task
from simclr_spec.plan import compile
from simclr_spec.store.layout import Store
from tests import runs
from tests.finished import finish


class Scheduler:
    """Takes all that it is offered; each poll brings every job one state further, at the end of which it is done."""

    parallelism = 8
    resident = True
    told = ()
    STATES: tuple[TaskState, ...] = ("queued", "unknown", "running", "done")

    def __init__(self, store: Store) -> None:
        self.store = store
        self.jobs: dict[Task, int] = {}
        self.arrays: list[list[str]] = []
        self.cancelled: list[str] = []
        self.stands_still = False

    def submit(self, ready: Sequence[Task]) -> None:
        if ready:
            self.arrays.append([task.step.kind for task in ready])
            self.jobs |= dict.fromkeys(ready, 0)

    def poll(self) -> Iterable[Change]:
        for task, age in list(self.jobs.items()):
            state = self.STATES[age]
            if task.step.kind in self.cancelled:
                del self.jobs[task]
                yield Change(task, "interrupted")
                continue
            if state == "done":
                del self.jobs[task]
                finish(self.store, task.step, {"loss": 1.0})
            elif not self.stands_still:
                self.jobs[task] += 1
            yield Change(task, state)

    def cancel(self, task: Task) -> None:
        self.cancelled.append(task.step.kind)

    def detach(self, *, at_once: bool) -> bool:
        return True


class Looks:
    """Notes what changes, and does something when a kind of Step gets to a state."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.at: tuple[str, str] | None = None
        self.do: Callable[[Task], object] = lambda _: None
        self.ticks = 0

    def changed(self, _board: Board, task: Task) -> None:
        self.seen.append((task.step.kind, task.state))
        if self.seen[-1] == self.at:
            self.do(task)

    def tick(self, _board: Board) -> None:
        self.ticks += 1
        assert self.ticks < 1000, "it goes on for ever"


@pytest.fixture
def scheduler(tmp_path: Path) -> Scheduler:
    return Scheduler(Store(tmp_path / "runs"))


@pytest.fixture
def board(tmp_path: Path) -> Board:
    (tmp_path / "tiny.toml").write_text(runs.SPEC)
    plan = compile([str(tmp_path / "tiny.toml")])
    return Board.of(plan.steps, Store(tmp_path / "runs"), {step.fingerprint: 1.0 for step in plan.steps})


def drive(board: Board, dispatcher: Dispatcher, watcher: Looks) -> int:
    """How many signals came."""
    with stopping() as stopped:
        Driver(board=board, dispatcher=dispatcher, watcher=watcher, stopped=stopped).run()
    return stopped.signals


def states(board: Board) -> dict[str, str]:
    return {task.step.kind: task.state for task in board.tasks.values()}


def test_ready_steps_are_handed_over_together_and_unknown_is_no_end(board: Board, scheduler: Scheduler) -> None:
    watcher = Looks()
    assert drive(board, scheduler, watcher) == 0
    assert set(states(board).values()) == {"done"}
    assert scheduler.arrays == [["pretrain", "supervised"], ["finetune", "linear_eval"], ["distill"]]
    assert [state for kind, state in watcher.seen if kind == "pretrain"] == ["queued", "unknown", "running", "done"]
    assert board.parallelism == 8
    assert watcher.ticks == 3 * len(scheduler.STATES), "one a poll"


def test_what_is_cancelled_in_the_queue_never_begins(board: Board, scheduler: Scheduler) -> None:
    watcher = Looks()
    watcher.at, watcher.do = ("finetune", "queued"), lambda task: task.folder.cancel()
    board.began_at -= 1.0
    task = next(task for task in board.tasks.values() if task.step.kind == "finetune")
    task.folder.path.mkdir(parents=True)
    drive(board, scheduler, watcher)
    assert states(board) == {**dict.fromkeys(states(board), "done"), "finetune": "interrupted", "distill": "blocked"}
    assert task.why == "cancelled"


def test_what_is_cancelled_while_it_waits_is_never_handed_over(board: Board, scheduler: Scheduler) -> None:
    task = next(task for task in board.tasks.values() if task.step.kind == "finetune")
    task.folder.path.mkdir(parents=True)
    watcher = Looks()
    watcher.at, watcher.do = ("pretrain", "running"), lambda _: task.folder.cancel()
    board.began_at -= 1.0
    drive(board, scheduler, watcher)
    assert states(board) == {**dict.fromkeys(states(board), "done"), "finetune": "blocked", "distill": "blocked"}
    assert task.why == "cancelled"
    assert scheduler.arrays == [["pretrain", "supervised"], ["linear_eval"]]


def test_a_scheduler_keeps_its_jobs_when_the_run_is_stopped(board: Board, scheduler: Scheduler) -> None:
    scheduler.stands_still = True
    watcher = Looks()
    watcher.at, watcher.do = ("supervised", "queued"), lambda task: os.kill(os.getpid(), signal.SIGINT)
    assert drive(board, scheduler, watcher) >= 1
    assert states(board) == {**dict.fromkeys(states(board), "waiting"), "pretrain": "queued", "supervised": "queued"}
    assert len(scheduler.jobs) == 2
