"""The runner `debug`: every Step in this very process, one after another, so that a debugger sees it."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterable, Sequence
from importlib import import_module
from types import FrameType
from typing import NoReturn

from simclr_spec.core.errors import Interrupted, SimclrSpecError
from simclr_spec.dispatch.dispatcher import POLL_SECONDS, Change
from simclr_spec.dispatch.signals import heard_by
from simclr_spec.dispatch.task import Task
from simclr_spec.store.sentences import in_other_hands

_EXECUTE = "simclr_spec.train.loop.execute"


class InThisProcess:
    """A poll executes the Step that was submitted; the poll before it says that it begins."""

    resident = True
    told = ()
    parallelism = 1

    def __init__(self) -> None:
        self.taken: Task | None = None
        self.announced = False

    def submit(self, ready: Sequence[Task]) -> None:
        if self.taken is None and ready:
            self.taken, self.announced = ready[0], False
            self.taken.count_attempts()

    def poll(self) -> Iterable[Change]:
        """Errors that are not the user's are not caught."""
        task = self.taken
        if task is None:
            time.sleep(POLL_SECONDS)  # for a Step that another process works on
            return []
        if not self.announced:
            self.announced = True
            return [Change(task, "running")]
        if _EXECUTE not in sys.modules:  # torch takes seconds, and who wants to stop meanwhile is heard before the Step begins
            import_module(_EXECUTE)
            return []
        self.taken = None
        return [_executed(task)]

    def cancel(self, task: Task) -> None:
        """Nothing is queued here; a running Step sees its mark, as it does everywhere."""

    def detach(self, *, at_once: bool) -> bool:  # noqa: ARG002
        """While this is asked nothing runs."""
        return True


def _executed(task: Task) -> Change:
    from simclr_spec.train.loop.execute import execute

    began = time.time()
    try:
        with heard_by(_interrupt):  # a training hears SIGTERM by itself
            execute(task.folder.path)
    except (Interrupted, KeyboardInterrupt) as end:
        if not task.folder.cancelled_since(began):  # the person means the run, which counts signals
            signal.raise_signal(end.args[0] if end.args else signal.SIGTERM)
        return Change(task, "done" if task.folder.done else "interrupted")
    except SimclrSpecError as error:
        attempt = task.attempt()
        task.log = attempt.log if attempt else None
        return Change(task, "failed", str(error).splitlines()[0])
    return Change(task, "done") if task.folder.done else Change(task, "elsewhere", in_other_hands(task.folder))


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    """Reaches the Step, and a debugger, at once, as Ctrl-C does by itself."""
    raise KeyboardInterrupt(number)
