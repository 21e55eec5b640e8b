"""A plan's Steps brought to their ends: skip what is done, hand the rest to a dispatcher, and say how it ended."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from simclr_spec.core.environment import CHECKPOINT_SECONDS, DETERMINISTIC, RECOMPUTE, THREADS, environment
from simclr_spec.core.states import OPEN
from simclr_spec.data import roots, weights
from simclr_spec.dispatch.board import Board, Watcher
from simclr_spec.dispatch.debug import InThisProcess
from simclr_spec.dispatch.dispatcher import Dispatcher
from simclr_spec.dispatch.driver import Driver, stopping
from simclr_spec.dispatch.local.dispatcher import Slots
from simclr_spec.dispatch.task import Task
from simclr_spec.language.machine import Machine
from simclr_spec.language.runner import Debug, Runner, Slurm
from simclr_spec.plan import Plan, Step
from simclr_spec.stages.kinds import KINDS
from simclr_spec.store.layout import Store

WRITERS = 16
"""Files that are written at a time, since a disk that writes through takes milliseconds for each."""


@dataclass(frozen=True)
class Ending:
    """How a run ended; `board` has every Step with its state."""

    board: Board
    stopped: bool = False
    """by a signal"""
    told: Sequence[str] = ()
    """what the dispatcher has done, a line each"""
    left_alone: bool = False
    """its Steps go on without this run"""

    @property
    def done(self) -> list[Task]:
        return self.board.in_state("done")

    @property
    def failed(self) -> list[Task]:
        return self.board.in_state("failed")

    @property
    def queued(self) -> list[Task]:
        """In the hands of a scheduler, which this run does not wait for."""
        return [task for task in self.board.in_state("queued") if not task.why] if self.left_alone else []

    @property
    def later(self) -> list[Task]:
        """Which a job submits when there is room; `why` is its id."""
        return [task for task in self.board.in_state("queued") if task.why] if self.left_alone else []

    @property
    def running(self) -> list[Task]:
        """By jobs of a scheduler, which this run does not wait for."""
        return self.board.in_state("running") if self.left_alone else []

    @property
    def not_run(self) -> list[Task]:
        """Blocked, interrupted, or not begun."""
        left = self.board.in_state(*OPEN, "blocked", "interrupted")
        return [task for task in left if not (self.left_alone and task.state in ("queued", "running"))]


def run(
    plan: Plan,
    steps: Iterable[Step],
    store: Store,
    runner: Runner,
    watcher: Watcher,
    *,
    seconds: Mapping[str, float],
    data_roots: Sequence[str] = (),
    command: Sequence[str] = (),
) -> Ending:
    """Bring `steps` of the plan to their ends. What is done is left alone, but gets back a lost step.json.

    Signals stop it in order. A Step's parents are among them, or done. `seconds` are estimates by fingerprint, on one
    device; `command`, after `simclr-spec`, does the same again. Raises SimclrSpecError where no worker can start.
    """
    board = Board.of(steps, store, seconds, runner)
    lacking = [task.step for task in board.tasks.values() if _lacks_step(task)]
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(partial(_prepare, plan, store), lacking))
    if not board.in_state("waiting", "elsewhere"):
        return Ending(board)
    with stopping() as stopped, _dispatcher(runner, store, board, _variables(runner, data_roots), command) as dispatcher:
        Driver(board=board, dispatcher=dispatcher, watcher=watcher, stopped=stopped).run()
    return Ending(board, stopped=bool(stopped.signals), told=dispatcher.told, left_alone=not dispatcher.resident)


def rehearse(steps: Iterable[Step], store: Store, runner: Runner) -> list[str]:
    """What a run of these Steps would hand to a scheduler, a line each, without one; nothing where the runner has none."""
    if not isinstance(runner, Slurm):
        return []
    from simclr_spec.dispatch.slurm.rehearsal import rehearse as of_slurm

    return of_slurm(list(steps), store, runner)


def look_at_cluster(
    runner: Runner,
    store: Store,
    steps: Sequence[Step],
    *,
    machine: Machine | None,
    data_roots: Sequence[str],
    wait: float,
    tell: Callable[[str], object],
) -> Iterator[str]:
    """What `doctor` says of a runner's cluster, a line each: ✗ is what must be mended.

    `steps` are those that are to run; without any, every request of the runner is looked at."""
    if not isinstance(runner, Slurm):
        yield f"a runner of kind {runner.kind} has no cluster: `simclr-spec doctor` looks at this machine"
        return
    from simclr_spec.dispatch.slurm.preflight import look

    yield from look(runner, store, steps, machine=machine, data_roots=data_roots, wait=wait, tell=tell)


@contextlib.contextmanager
def _dispatcher(
    runner: Runner, store: Store, board: Board, variables: Mapping[str, str], command: Sequence[str]
) -> Iterator[Dispatcher]:
    """The only place that tells kinds of runners apart."""
    if isinstance(runner, Debug):
        with environment(variables):
            yield InThisProcess()
    elif isinstance(runner, Slurm):
        from simclr_spec.dispatch.slurm.dispatcher import Cluster

        with Cluster.opened(runner, store, variables, command) as cluster:
            yield cluster
    else:
        todo = [task.step for task in board.in_state("waiting", "elsewhere")]
        with Slots.opened(runner, store, variables, todo) as slots:
            yield slots


def _lacks_step(task: Task) -> bool:
    """New, or damaged and deleted; of one that reads a file the same Step may name another place by now."""
    return not task.folder.step.exists() or (KINDS[task.step.kind].from_file and not task.folder.done)


def _prepare(plan: Plan, store: Store, step: Step) -> None:
    """The Step's run folder with its step.json."""
    store.prepare(step.id, step.written({parent: plan.by_fingerprint[parent].id for parent in step.needs.values()}))


def _variables(runner: Runner, data_roots: Sequence[str]) -> dict[str, str]:
    """What the training wing reads from its environment."""
    threads = str(runner.threads)
    return {
        THREADS: threads,
        DETERMINISTIC: str(int(runner.deterministic)),
        RECOMPUTE: str(int(runner.recompute)),
        CHECKPOINT_SECONDS: str(runner.checkpoint_seconds),
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads),
        **roots.as_environment(list(map(roots.absolute, data_roots))),  # a job begins in a folder of its own
        **weights.as_environment(weights.weights_roots()),
    }
