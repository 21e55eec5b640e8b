"""A plan's Steps brought to their ends: skip what is done, hand the rest to a dispatcher, and say how it ended."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from simclr_spec.core.environment import CHECKPOINT_SECONDS, DETERMINISTIC, THREADS, environment
from simclr_spec.core.states import OPEN
from simclr_spec.data.roots import as_environment
from simclr_spec.dispatch.board import Board, Watcher
from simclr_spec.dispatch.debug import InThisProcess
from simclr_spec.dispatch.dispatcher import Dispatcher
from simclr_spec.dispatch.driver import Driver, stopping
from simclr_spec.dispatch.local.dispatcher import Slots
from simclr_spec.dispatch.task import Task
from simclr_spec.language.runner import Debug, Runner, Slurm
from simclr_spec.plan import Plan, Step
from simclr_spec.store.layout import Store


@dataclass(frozen=True)
class Ending:
    """How a run ended; `board` has every Step with its state."""

    board: Board
    stopped: bool = False
    """by a signal"""

    @property
    def done(self) -> list[Task]:
        return self.board.in_state("done")

    @property
    def failed(self) -> list[Task]:
        return self.board.in_state("failed")

    @property
    def not_run(self) -> list[Task]:
        """Blocked, interrupted, or not begun."""
        return self.board.in_state(*OPEN, "blocked", "interrupted")


def run(
    plan: Plan,
    steps: Iterable[Step],
    store: Store,
    runner: Runner,
    watcher: Watcher,
    *,
    seconds: Mapping[str, float],
    data_roots: Sequence[str] = (),
) -> Ending:
    """Bring `steps` of the plan to their ends. What is done is left alone, but gets back a lost step.json.

    Signals stop it in order. A Step's parents are among them, or done. `seconds` are estimates by fingerprint. Raises
    SimclrSpecError where no worker can start.
    """
    board = Board.of(steps, store, seconds)
    for task in board.tasks.values():
        if not task.folder.step.exists():  # new, or deleted because it was damaged
            _prepare(plan, store, task.step)
    if not board.in_state("waiting", "elsewhere"):
        return Ending(board)
    with stopping() as stopped, _dispatcher(runner, store, board, _variables(runner, data_roots)) as dispatcher:
        Driver(board=board, dispatcher=dispatcher, watcher=watcher, stopped=stopped).run()
    return Ending(board, stopped=bool(stopped.signals))


@contextlib.contextmanager
def _dispatcher(runner: Runner, store: Store, board: Board, variables: Mapping[str, str]) -> Iterator[Dispatcher]:
    """The only place that tells kinds of runners apart."""
    if isinstance(runner, Debug):
        with environment(variables):
            yield InThisProcess()
    elif isinstance(runner, Slurm):
        raise NotImplementedError
    else:
        todo = [task.step for task in board.in_state("waiting", "elsewhere")]
        with Slots.opened(runner, store, variables, todo) as slots:
            yield slots


def _prepare(plan: Plan, store: Store, step: Step) -> None:
    """The Step's run folder with its step.json."""
    store.prepare(step.id, step.written({parent: plan.by_fingerprint[parent].id for parent in step.needs.values()}))


def _variables(runner: Runner, data_roots: Sequence[str]) -> dict[str, str]:
    """What the training wing reads from its environment."""
    threads = str(runner.threads)
    return {
        THREADS: threads,
        DETERMINISTIC: str(int(runner.deterministic)),
        CHECKPOINT_SECONDS: str(runner.checkpoint_seconds),
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads),
        **as_environment(data_roots),
    }
