"""The queue above the slots: gives ready Steps to idle workers and learns from the store how each ended."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import FrameType

from simclr_spec.core.errors import SimclrSpecError
from simclr_spec.core.files import read_json, write_json
from simclr_spec.core.words import number
from simclr_spec.dispatch.board import Board, State, Task, Watcher, in_other_hands, last_error
from simclr_spec.dispatch.pool import Event, Pool, Worker, job_folder
from simclr_spec.dispatch.slots import slots
from simclr_spec.language.runner import Local, Runner
from simclr_spec.store.layout import Store

POLL_SECONDS = 0.25
GRACE_SECONDS = 10.0
START_FAILURES = 3
DIED = "its process ended without a word: it was killed, perhaps because memory ran out"


class Stopped:
    """Counts the signals that ask the run to stop."""

    def __init__(self) -> None:
        self.signals = 0

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        self.signals += 1


@contextlib.contextmanager
def stopping() -> Iterator[Stopped]:
    """SIGINT, SIGTERM and SIGHUP are counted, not obeyed at once; ignored ones (nohup) stay ignored."""
    stopped = Stopped()
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, stopped) for number in numbers}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_local(board: Board, store: Store, runner: Runner, environment: Mapping[str, str], watcher: Watcher) -> bool:
    """Over the slots of this machine; True when a signal stopped it."""
    assert isinstance(runner, Local)
    places = slots(runner)
    board.slots = len(places)
    for task in board.in_state("elsewhere"):
        watcher.changed(board, task)
    with stopping() as stopped, job_folder(store) as folder:
        pool = Pool(folder, places, environment)
        try:
            Queue(board, pool, watcher, stopped, runner.timeout_minutes and runner.timeout_minutes * 60).run()
        finally:
            pool.close()
    return bool(stopped.signals)


@dataclass
class Queue:
    """One run of a board over a pool."""

    board: Board
    pool: Pool
    watcher: Watcher
    stopped: Stopped
    timeout_seconds: float | None = None
    failed_starts: int = 0
    hung_up: float = 0.0
    late: set[Task] = field(default_factory=set)

    def run(self) -> None:
        """Until every Step is done, failed, blocked or stopped; raises SimclrSpecError when no worker can start."""
        while self._open():
            for event in self.pool.wait(POLL_SECONDS):
                self._take(event)
            self._follow()
            if self.stopped.signals:
                self._stop()
            else:
                self._limit()
                self._assign()
            self.watcher.tick(self.board)

    def _open(self) -> bool:
        if self.stopped.signals:
            return bool(self.pool.workers) or not self.hung_up
        return bool(self.board.in_state("waiting", "running", "elsewhere"))

    def _change(self, task: Task, state: State, why: str = "") -> None:
        self.board.change(task, state, why, watcher=self.watcher)

    def _assign(self) -> None:
        """Ready Steps to idle workers; where workers lack, begin one in a free slot."""
        ready = [task for task in self.board.ready() if not self._cancelled(task)]
        for worker in [worker for worker in self.pool.workers if worker.idle]:
            if not ready:
                return
            self._give(worker, ready.pop(0))
        starting = sum(not worker.started for worker in self.pool.workers)
        for slot in self.pool.free_slots()[: max(0, len(ready) - starting)]:
            self.pool.start(slot)

    def _give(self, worker: Worker, task: Task) -> None:
        if task.folder.done or task.folder.is_leased():
            self._change(task, "elsewhere", in_other_hands(task.folder))
            return
        attempts = task.folder.attempts()
        task.attempts = attempts[-1].number if attempts else 0
        task.place = str(worker.slot)
        self._change(task, "running")
        self.pool.give(worker, task, task.folder.path)

    def _cancelled(self, task: Task) -> bool:
        """`simclr-spec cancel` leaves a mark; one from before this run means nothing."""
        if not task.folder.cancelled_since(self.board.began_at):
            return False
        self._change(task, "blocked", "cancelled")
        return True

    def _take(self, event: Event) -> None:
        worker, task = event.worker, event.worker.task
        worker.task = None
        if event.what == "idle":
            self.failed_starts = 0
            if task is not None:
                self._ended(worker, task)
        elif task is not None:
            self._died(worker, task)
        elif not worker.started and not self.stopped.signals:
            self.failed_starts += 1
            if self.failed_starts == START_FAILURES:
                told = (worker.stderr().splitlines() or [DIED])[-1]
                raise SimclrSpecError(f"the workers do not start: {told} (see {worker.job.paths.stderr})")

    def _ended(self, worker: Worker, task: Task) -> None:
        """The worker says that it has ended the task; how, the store knows."""
        if task.folder.done:
            self._change(task, "done")
            return
        attempt = task.attempt()
        record = read_json(attempt.record) if attempt else None
        said = worker.stderr(worker.told_at)
        if attempt and record and record.get("pid") == worker.pid:
            task.log = attempt.log
            if task in self.late:
                self._close(task, self._too_long())
                self._change(task, "failed", self._too_long())
            elif record.get("state") == "interrupted":
                cancelled = task.folder.cancelled_since(self.board.began_at)
                self._change(task, "interrupted", "cancelled" if cancelled else "")
            else:
                self._change(task, "failed", last_error(attempt))
        elif attempt is None and said:
            self._change(task, "failed", said.splitlines()[-1])
        elif not task.folder.step.exists():  # else it would be given again and again
            self._change(task, "failed", f"its run folder is gone: somebody deleted {task.folder.path}")
        else:
            self._change(task, "elsewhere", in_other_hands(task.folder))

    def _too_long(self) -> str:
        return (
            f"took longer than the runner's timeout of {number((self.timeout_seconds or 0) / 60)} minutes; its checkpoint waits"
        )

    def _died(self, worker: Worker, task: Task) -> None:
        """The process is gone in the middle of a Step, or between its end and the word about it."""
        attempt = task.attempt()
        if task.folder.done:
            self._change(task, "done")
        elif self.stopped.signals:
            self._change(task, "interrupted")
        else:
            said = worker.stderr(worker.told_at).splitlines()
            why = self._too_long() if task in self.late else said[-1] if said else DIED
            if attempt is not None:
                task.log = attempt.log
                self._close(task, why)
            self._change(task, "failed", why)

    def _close(self, task: Task, why: str) -> None:
        """Write the end of an attempt whose process could not."""
        attempt = task.attempt()
        with task.folder.leased() as mine:
            if mine and attempt is not None and not task.folder.done:
                ended = datetime.now(UTC).isoformat(timespec="seconds")
                write_json(
                    attempt.record, {**(read_json(attempt.record) or {}), "state": "failed", "ended": ended, "error": why}
                )

    def _follow(self) -> None:
        """Steps in the hands of other processes: done, or ours once they are free."""
        for task in self.board.in_state("elsewhere"):
            if task.folder.done:
                self._change(task, "done")
            elif not task.folder.is_leased():
                self._change(task, "waiting")

    def _limit(self) -> None:
        """A Step beyond the runner's timeout is asked to stop, then killed."""
        if self.timeout_seconds is None:
            return
        for worker in self.pool.workers:
            task = worker.task
            over = time.monotonic() - task.since - self.timeout_seconds if task is not None else -1.0
            if over > 0 and worker.pid is not None:
                self.late.add(task)
                with contextlib.suppress(ProcessLookupError):  # its `gone` is on the way
                    os.kill(worker.pid, signal.SIGKILL if over > GRACE_SECONDS else signal.SIGTERM)

    def _stop(self) -> None:
        """Hang up once; kill after the grace, or at the second signal."""
        now = time.monotonic()
        if not self.hung_up:
            self.hung_up = now
            self.pool.hang_up()
        elif now - self.hung_up > GRACE_SECONDS or self.stopped.signals > 1:
            self.pool.kill()
