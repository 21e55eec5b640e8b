"""What a run knows of its Steps at any moment: their states, who works on what, what is ready, how long it will take."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from simclr_spec.core.environment import SINCE
from simclr_spec.core.states import OPEN, TaskState
from simclr_spec.dispatch.task import Task
from simclr_spec.language.runner import Runner
from simclr_spec.plan import Step
from simclr_spec.store.layout import Store
from simclr_spec.store.sentences import in_other_hands


class Watcher(Protocol):
    """Who looks on; see cli/show/live.py."""

    def changed(self, board: Board, task: Task, /) -> None:
        """The task has another state."""

    def tick(self, board: Board, /) -> None:
        """Some time has passed; called a few times a second."""


@dataclass
class Board:
    """All Steps of a run, in topological order."""

    tasks: dict[str, Task]
    parallelism: int = 1
    """devices that work at a time"""
    began: float = field(default_factory=time.monotonic)
    began_at: float = field(default_factory=lambda: float(os.environ.get(SINCE, time.time())))
    """when a person asked for it"""
    already: int = 0
    """Steps that were done before"""

    @classmethod
    def of(cls, steps: Iterable[Step], store: Store, seconds: Mapping[str, float], runner: Runner | None = None) -> Board:
        """States from the store. A parent that is not among the steps counts as done. `seconds` are those of one device."""
        tasks = {}
        for step in steps:
            folder = store.folder(step.id)
            devices = runner.devices(step.coordinates) if runner else 1
            tasks[step.fingerprint] = Task(step=step, folder=folder, work=seconds[step.fingerprint] / devices, devices=devices)
        names = Counter(task.name for task in tasks.values())
        for task in tasks.values():
            task.has_namesake = names[task.name] > 1
            if task.folder.done:
                task.state = "done"
            elif task.folder.is_leased():
                task.state, task.why = "elsewhere", in_other_hands(task.folder)
        for task in reversed(tasks.values()):
            task.urgency += task.work
            for parent in task.step.needs.values():
                if parent in tasks:
                    tasks[parent].urgency = max(tasks[parent].urgency, task.urgency)
        return cls(tasks, already=sum(task.state == "done" for task in tasks.values()))

    def in_state(self, *states: TaskState) -> list[Task]:
        return [task for task in self.tasks.values() if task.state in states]

    def ready(self) -> list[Task]:
        """Waiting Steps whose parents are done, the start of the longest chain first."""
        found = [task for task in self.in_state("waiting") if self.parents_done(task)]
        return sorted(found, key=lambda task: -task.urgency)

    def parents_done(self, task: Task) -> bool:
        return all(parent not in self.tasks or self.tasks[parent].state == "done" for parent in task.step.needs.values())

    def change(self, task: Task, state: TaskState, why: str = "", *, watcher: Watcher) -> None:
        """Steps below one that failed, was interrupted or will not begin will not run."""
        task.state, task.why = state, why
        if state == "running" and not task.since:
            task.since = time.monotonic()
        elif task.since and state not in ("running", "unknown"):
            task.seconds, task.since = time.monotonic() - task.since, 0.0
        watcher.changed(self, task)
        if state in ("failed", "interrupted", "blocked"):
            what = why if state == "blocked" else state
            self._block_descendants(f"{task.name} {what}", {task.step.fingerprint}, watcher)

    def _block_descendants(self, why: str, above: set[str], watcher: Watcher) -> None:
        for task in self.in_state("waiting"):
            if above & set(task.step.needs.values()):
                above.add(task.step.fingerprint)
                task.state, task.why = "blocked", why
                watcher.changed(self, task)

    def remaining_seconds(self) -> float | None:
        """An estimate of the time to the end, from what this run has done so far; None until it has done something."""
        spent: dict[str, list[tuple[float, float]]] = {"": []}  # kind, "" = all -> (seconds, work)
        for task in self.tasks.values():
            if (seconds := task.elapsed()) and (share := task.progress()) > 0.02:
                for kind in (task.step.kind, ""):
                    spent.setdefault(kind, []).append((seconds, share * task.work))
        if not spent[""]:
            return None
        rates = {kind: sum(seconds for seconds, _ in pairs) / sum(work for _, work in pairs) for kind, pairs in spent.items()}
        open_ = self.in_state(*OPEN)
        left = [task.work * rates.get(task.step.kind, rates[""]) * (1 - task.fraction) for task in open_]
        together = sum(seconds * task.devices for seconds, task in zip(left, open_, strict=True)) / self.parallelism
        return max(max(left, default=0.0), together)
