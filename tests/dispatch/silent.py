"""A watcher for tests."""

from __future__ import annotations

from simclr_spec.dispatch.board import Board
from simclr_spec.dispatch.task import Task


class Silent:
    """Nobody looks on, but all that changes is kept."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def changed(self, _board: Board, task: Task) -> None:
        self.seen.append((task.step.kind, task.state))

    def tick(self, board: Board) -> None:
        pass
