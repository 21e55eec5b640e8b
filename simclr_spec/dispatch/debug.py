"""The runner `debug`: every Step in this very process, one after another, so that a debugger sees it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from simclr_spec.core.errors import Interrupted, SimclrSpecError
from simclr_spec.dispatch.board import Board, Watcher, in_other_hands, last_error
from simclr_spec.language.runner import Runner
from simclr_spec.store.layout import Store


def run_here(board: Board, store: Store, runner: Runner, environment: Mapping[str, str], watcher: Watcher) -> bool:  # noqa: ARG001
    """True when it was stopped by Ctrl-C or SIGTERM. Errors that are not the user's are not caught."""
    from simclr_spec.train.loop.execute import execute

    os.environ.update(environment)
    for task in board.tasks.values():
        if task.state not in ("waiting", "elsewhere"):
            continue
        if not board.parents_done(task):
            board.change(task, "blocked", "another process works on what it needs", watcher=watcher)
            continue
        board.change(task, "running", watcher=watcher)
        try:
            execute(task.folder.path)
        except (Interrupted, KeyboardInterrupt):
            if task.folder.cancelled_since(board.began_at):
                board.change(task, "interrupted", "cancelled", watcher=watcher)
                continue
            board.change(task, "interrupted", watcher=watcher)
            return True
        except SimclrSpecError as error:
            attempt = task.attempt()
            task.log = attempt.log if attempt else None
            board.change(task, "failed", (attempt and last_error(attempt)) or str(error), watcher=watcher)
        else:
            done = task.folder.done
            board.change(task, "done" if done else "elsewhere", "" if done else in_other_hands(task.folder), watcher=watcher)
    return False
