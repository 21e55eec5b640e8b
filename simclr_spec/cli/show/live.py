"""A run as it goes: on a terminal a live view, elsewhere plain lines; and how it ended.

Drawing costs time that the training needs, so the screen changes twice a second and metrics are read no more often.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from simclr_spec.core.states import OPEN, TaskState
from simclr_spec.core.words import counted, duration, fixed, percent
from simclr_spec.dispatch.board import Board
from simclr_spec.dispatch.task import Task

if TYPE_CHECKING:
    from rich.console import RenderableType

    from simclr_spec.dispatch.run import Ending

SCREEN_SECONDS = 0.5
PLAIN_SECONDS = 30.0
"""Without a terminal: time between two lines of progress, where nothing else is told."""


def describe(metrics: dict[str, Any] | None) -> tuple[str, str, str]:
    """Epoch, loss and images/s of a line of metrics."""
    if metrics is None:
        return "starts", "", ""
    loss, rate = metrics.get("loss"), metrics.get("images_per_second")
    return (
        f"epoch {fixed(metrics['epoch'], 1)}",
        f"loss {fixed(loss, 3)}" if loss is not None else "",
        f"{fixed(rate, 0)} images/s" if rate else "",
    )


def waits_for(task: Task) -> str:
    """Of a Step in the hands of another process, which it names."""
    return f"waits for {task.name}: {task.why}"


class Plain:
    """A line for each Step that begins or ends, with n/total and the time since the beginning."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.last_line_at = 0.0

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def changed(self, board: Board, task: Task) -> None:
        words = {
            "running": "begins",
            "waiting": "waits",
            "blocked": "will not run",
        }
        if task.state == "queued":
            return  # many at once: the ending says as which jobs
        if task.state == "elsewhere":
            self._tell(board, waits_for(task))
            return
        if task.state == "waiting" and task.why:
            what = task.why
        elif task.state == "done":
            what = f"done in {duration(task.seconds)}" if task.seconds else "done"
        else:
            what = words.get(task.state, task.state)
        self._tell(board, f"{task.name}: {what}" + (f": {task.why}" if task.why and what != task.why else ""))

    def tick(self, board: Board) -> None:
        if time.monotonic() - max(self.last_line_at, board.began) < PLAIN_SECONDS:
            return
        for task in board.in_state("running", "elsewhere"):
            self._tell(board, f"{task.name}: {', '.join(filter(None, describe(task.look())))}")
        if (left := board.remaining_seconds()) is not None:
            self._tell(board, f"about {duration(left)} left")

    def _tell(self, board: Board, text: str) -> None:
        self.last_line_at = time.monotonic()
        done = len(board.in_state("done"))
        try:
            print(f"[{done}/{len(board.tasks)} {duration(self.last_line_at - board.began)}] {text}", file=self.out, flush=True)
        except OSError:  # nobody reads any more, as in `run ... | head`, or its disk is full: the training goes on
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.out.fileno())


class Live:
    """Overall progress and ETA, a line per running Step, the failures so far."""

    def __init__(self, out: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive

        self.console = Console(file=out)
        self.live = RichLive(console=self.console, auto_refresh=False, transient=True)
        self.drawn = 0.0

    def __enter__(self) -> Live:
        self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def changed(self, _board: Board, task: Task) -> None:
        if task.state == "failed":
            self.console.print(f"✗ {task.name}: {task.why}", style="red", markup=False, highlight=False)
        elif task.state == "elsewhere":
            self.console.print(waits_for(task), markup=False, highlight=False)
        elif task.state == "waiting" and task.why:
            self.console.print(f"{task.name}: {task.why}", markup=False, highlight=False)

    def tick(self, board: Board) -> None:
        if time.monotonic() - self.drawn >= SCREEN_SECONDS:
            self.drawn = time.monotonic()
            self.live.update(self._picture(board), refresh=True)

    def _picture(self, board: Board) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        running = Table.grid(padding=(0, 2))
        for task in board.in_state("running", "elsewhere"):
            name = f"{task.name}" if task.state == "running" else f"{task.name} (another process)"
            metrics = task.look()
            share = percent(task.fraction).rjust(4) if metrics else ""
            running.add_row(f"  {name}", share, *describe(metrics), duration(task.elapsed()))
        if not running.rows and not board.in_state("queued", "done", "failed", "interrupted"):
            running.add_row("  workers start: importing torch takes some seconds")
        done, total = len(board.in_state("done")), len(board.tasks)
        left = board.remaining_seconds()
        summary = [f"{done} of {total} Steps", duration(time.monotonic() - board.began)]
        summary.append(
            "ending" if not board.in_state(*OPEN) else "estimating" if left is None else f"about {duration(left)} left"
        )
        shown: dict[TaskState, str] = {"queued": "queued", "failed": "failed", "blocked": "will not run"}
        summary += [f"{count} {what}" for state, what in shown.items() if (count := len(board.in_state(state)))]
        top = Table.grid(padding=(0, 1))
        top.add_row(ProgressBar(total=self._all_work(board), completed=self._done_work(board), width=30), " · ".join(summary))
        return Group(top, running)

    @staticmethod
    def _all_work(board: Board) -> float:
        return sum(task.work for task in board.tasks.values()) or 1.0

    @staticmethod
    def _done_work(board: Board) -> float:
        return sum(task.work * (1.0 if task.state == "done" else task.fraction) for task in board.tasks.values())


def watcher(out: TextIO | None = None) -> Live | Plain:
    """For this terminal, or for what stands in its place."""
    stream = out or sys.stdout
    return Live(stream) if stream.isatty() else Plain(stream)


def ending(outcome: Ending, command: str) -> str:
    """Done, failed, not run; each failure with its last line and log; how to go on."""
    board = outcome.board
    total, already, done = len(board.tasks), board.already, len(outcome.done)
    if already == total:
        return f"{counted(total, 'Step')}, all done before: nothing to run."
    counts = [f"{done} done" + (f" ({already} before)" if already else "")] if done or not outcome.left_alone else []
    interrupted = len(board.in_state("interrupted"))
    others = {
        "running": len(outcome.running),
        "queued": len(outcome.queued),
        "to be submitted": len(outcome.later),
        "failed": len(outcome.failed),
        "interrupted": interrupted,
    }
    others["not run"] = len(outcome.not_run) - interrupted
    counts += [f"{count} {what}" for what, count in others.items() if count]
    took = "" if outcome.left_alone else f" in {duration(time.monotonic() - board.began)}"
    lines = [f"{counted(total, 'Step')}{took}: {', '.join(counts)}."]
    lines += _left_alone(outcome) if outcome.left_alone else []
    for task in outcome.failed:
        lines += [f"✗ {task.name}: {task.why}", f"    {task.log or task.folder.path}"]
    lines += _not_run(outcome)
    if outcome.stopped or any(task.state == "interrupted" for task in outcome.not_run):
        lines.append(f"Stopped. `{command}` continues from the checkpoints.")
    return "\n".join(lines)


def _left_alone(outcome: Ending) -> list[str]:
    """What was submitted, and where to see what becomes of it."""
    lines = [f"- {told}" for told in outcome.told] or ["Nothing new was submitted."]
    if outcome.queued or outcome.running:
        store = next(iter(outcome.board.tasks.values())).folder.store
        lines.append(f"`simclr-spec status --watch{store.option}` shows how they go on.")
    return lines


def _not_run(outcome: Ending) -> list[str]:
    """Why, each cause once."""
    causes: dict[str, int] = {}
    for task in outcome.not_run:
        if task.state in ("blocked", "elsewhere"):
            causes[task.why] = causes.get(task.why, 0) + 1
    return [f"- {counted(count, 'Step')} not run, because {why}" for why, count in causes.items()]
