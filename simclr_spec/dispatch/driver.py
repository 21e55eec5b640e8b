"""A board and a dispatcher, brought to their end: ready Steps are submitted, changes taken up, signals obeyed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

from simclr_spec.core.states import OPEN
from simclr_spec.dispatch.board import Board, Watcher
from simclr_spec.dispatch.dispatcher import Change, Dispatcher
from simclr_spec.dispatch.signals import heard_by
from simclr_spec.dispatch.task import Task
from simclr_spec.store.sentences import last_heard


class Stopped:
    """Counts the signals that ask the run to stop."""

    def __init__(self) -> None:
        self.signals = 0

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        self.signals += 1


@contextlib.contextmanager
def stopping() -> Iterator[Stopped]:
    """Signals are counted, not obeyed at once."""
    stopped = Stopped()
    with heard_by(stopped):
        yield stopped


@dataclass(frozen=True, kw_only=True)
class Driver:
    """One run of a board over a dispatcher, which it knows by its four verbs only."""

    board: Board
    dispatcher: Dispatcher
    watcher: Watcher
    stopped: Stopped

    def run(self) -> None:
        """Until every Step is done, failed, blocked or stopped. Raises what the dispatcher raises."""
        self.board.parallelism = self.dispatcher.parallelism
        if not self.dispatcher.resident:
            left = self.board.in_state("waiting", "elsewhere")  # which may be in a job of its own
            self.dispatcher.submit([task for task in left if not self._is_cancelled(task)])
            self._turn()
            return
        for task in self.board.in_state("elsewhere"):
            self.watcher.changed(self.board, task)
        while self.board.in_state(*OPEN) and not self.stopped.signals:
            self._follow()
            self._cancel()
            self.dispatcher.submit([task for task in self.board.ready() if not self._is_cancelled(task)])
            self._turn()
        while self.stopped.signals and not self.dispatcher.detach(at_once=self.stopped.signals > 1):
            self._turn()

    def _turn(self) -> None:
        for change in self.dispatcher.poll():
            self._take(change)
        self.watcher.tick(self.board)

    def _take(self, change: Change) -> None:
        cancelled = change.state == "interrupted" and self._was_cancelled(change.task)
        self.board.change(change.task, change.state, "cancelled" if cancelled else change.why, watcher=self.watcher)

    def _was_cancelled(self, task: Task) -> bool:
        """`simclr-spec cancel` leaves a mark; one from before this run means nothing."""
        return task.folder.cancelled_since(self.board.began_at)

    def _is_cancelled(self, task: Task) -> bool:
        if not self._was_cancelled(task):
            return False
        self.board.change(task, "blocked", "cancelled", watcher=self.watcher)
        return True

    def _cancel(self) -> None:
        """What waits in a queue does not see its mark; a training looks at it by itself."""
        for task in self.board.in_state("queued"):
            if self._was_cancelled(task):
                self.dispatcher.cancel(task)

    def _follow(self) -> None:
        """Steps in the hands of other processes: done, or ours once they are free."""
        for task in self.board.in_state("elsewhere"):
            if task.folder.done:
                self.board.change(task, "done", watcher=self.watcher)
            elif not task.folder.is_leased():
                why = "" if task.folder.is_free() else last_heard(task.folder)
                self.board.change(task, "waiting", why, watcher=self.watcher)
