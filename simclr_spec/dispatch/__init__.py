"""A plan's Steps into processes: skip what is done, queue the rest over slots, and say how it ended.

A Step's state is always what the store says. `queue` gives Steps to the workers of `pool`; `board` is what is known meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from simclr_spec.data.roots import as_environment
from simclr_spec.dispatch.board import Board, Task, Watcher
from simclr_spec.dispatch.debug import run_here
from simclr_spec.dispatch.queue import run_local
from simclr_spec.language.runner import Debug, Runner
from simclr_spec.plan import Plan, Step
from simclr_spec.store.layout import Store

__all__ = ["Board", "Outcome", "Task", "Watcher", "run"]


@dataclass(frozen=True)
class Outcome:
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
        return self.board.in_state("waiting", "running", "elsewhere", "blocked", "interrupted")


def run(
    plan: Plan,
    steps: Iterable[Step],
    store: Store,
    runner: Runner,
    watcher: Watcher,
    *,
    seconds: Mapping[str, float],
    data_roots: Sequence[str] = (),
) -> Outcome:
    """Bring `steps` of the plan to their ends. What is done is left alone, but gets back a lost step.json.

    Signals stop it in order. A Step's parents are among them, or done. `seconds` are estimates by fingerprint. Raises
    SimclrSpecError where no worker can start.
    """
    board = Board.of(steps, store, seconds)
    for task in board.tasks.values():
        if not task.folder.step.exists():  # new, or deleted because it was damaged
            _prepare(plan, store, task.step)
    if not board.in_state("waiting", "elsewhere"):
        return Outcome(board)
    run_with = run_here if isinstance(runner, Debug) else run_local
    return Outcome(board, stopped=run_with(board, store, runner, _environment(runner, data_roots), watcher))


def _prepare(plan: Plan, store: Store, step: Step) -> None:
    """The Step's run folder with its step.json."""
    needs = {role: {"fingerprint": parent, "folder": plan.by_fingerprint[parent].id} for role, parent in step.needs.items()}
    value = {
        "fingerprint": step.fingerprint,
        "kind": step.kind,
        "label": step.label,
        "params": step.params,
        "needs": needs,
        "coordinates": dict(step.coordinates),
    }
    store.prepare(step.kind, step.label, step.fingerprint, value)


def _environment(runner: Runner, data_roots: Sequence[str]) -> dict[str, str]:
    """What the training wing reads from its environment."""
    threads = str(runner.threads)
    return {
        "SIMCLR_SPEC_THREADS": threads,
        "SIMCLR_SPEC_DETERMINISTIC": str(int(runner.deterministic)),
        "SIMCLR_SPEC_CHECKPOINT_SECONDS": str(runner.checkpoint_seconds),
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads),
        **as_environment(data_roots),
    }
