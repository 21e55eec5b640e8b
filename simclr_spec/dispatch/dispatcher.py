"""The seam between a run and whatever works on its Steps: this process, slots of this machine, or a scheduler.

What a dispatcher is never asked: how a Step ended in the end, for that the store says, and which Steps may begin, for that the
plan says. It knows who works on what, and says when that changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from simclr_spec.core.states import TaskState
from simclr_spec.dispatch.task import Task

POLL_SECONDS = 0.25
"""That a poll waits at most where nothing changes."""


@dataclass(frozen=True)
class Change:
    """A Step in a dispatcher's hands has another state; `why` is one line where it did not end well."""

    task: Task
    state: TaskState
    why: str = ""


class Dispatcher(Protocol):
    """Four verbs, called by turns from one thread. None of them waits for a Step, unless the Step runs in this very process."""

    @property
    def resident(self) -> bool:
        """Whether the run must stay for its Steps to go on; else it leaves once all that can be submitted is."""

    @property
    def told(self) -> Sequence[str]:
        """What it has done that no Step's state says, a line each."""

    @property
    def parallelism(self) -> int:
        """How many devices work at a time, as far as it knows: for the estimate of the time that is left."""

    def submit(self, ready: Sequence[Task], /) -> None:
        """Take of these Steps as many as there is room for, in order; the next poll says which, as `queued` or `running`.

        What is not taken is offered again after that poll, since by then something more urgent may have become ready, or a
        Step may have been cancelled: so slots take one Step for each idle process, and a scheduler with a queue of its own
        takes all that it is offered, as one array. A scheduler that is left alone with its jobs is offered whole chains,
        parents first, and has them wait for each other.
        """

    def poll(self) -> Iterable[Change]:
        """What has changed since the last call, in order; waits a fraction of a second where nothing has.

        It may ask its scheduler less often than it is called. What it cannot find out is `unknown`, never an end. Raises
        SimclrSpecError where nothing can be begun at all.
        """

    def cancel(self, task: Task, /) -> None:
        """A queued Step is to end before it begins; its end comes from poll, as any other.

        A running one is not cancelled so: it looks at its mark by itself, and stops with a checkpoint.
        """

    def detach(self, *, at_once: bool) -> bool:
        """Whether this process may leave now; asked again after each poll until it may, and nothing more is submitted.

        Jobs that outlive this process (a scheduler's) stay where they are, so the answer is yes. Processes that nobody would
        look after are stopped in order, with a checkpoint, and killed after a grace, or `at_once` where the person asks twice.
        """
