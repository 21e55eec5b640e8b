"""What a run knows of its Steps at any moment: their states, who works on what, what is ready, how long it will take."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from simclr_spec.core.files import read_json
from simclr_spec.plan import Step
from simclr_spec.store.layout import Attempt, RunFolder, Store

State = Literal["waiting", "running", "elsewhere", "done", "failed", "interrupted", "blocked"]
"""`elsewhere`: another process works on it; `blocked`: cancelled before it began, or an ancestor did not end well;
`interrupted`: its checkpoint waits."""
OPEN: frozenset[State] = frozenset({"waiting", "running", "elsewhere"})


class Watcher(Protocol):
    """Who looks on; see show/live.py."""

    def changed(self, board: Board, task: Task, /) -> None:
        """The task has another state."""

    def tick(self, board: Board, /) -> None:
        """Some time has passed; called a few times a second."""


@dataclass(eq=False)
class Task:
    """A Step on its way."""

    step: Step
    folder: RunFolder
    state: State = "waiting"
    why: str = ""
    """one line: the failure, or what blocks it"""
    log: Path | None = None
    since: float = 0.0
    """time.monotonic() when it began"""
    seconds: float = 0.0
    """it took in this run"""
    attempts: int = 0
    """highest attempt before it began"""
    work: float = 0.0
    """estimated seconds"""
    fraction: float = 0.0
    """of the train steps, when somebody last looked"""
    first_fraction: float | None = None
    """where this run took it up"""
    urgency: float = 0.0
    """work on the longest chain that begins here"""
    place: str = ""
    has_namesake: bool = False

    @property
    def name(self) -> str:
        """As a person reads it: `finetune r18-2x-digits-1pc-s0`, and the fingerprint's beginning where another is called so."""
        told = f"{self.step.kind} {self.step.label}"
        return f"{told} {self.step.fingerprint[:8]}" if self.has_namesake else told

    def attempt(self) -> Attempt | None:
        """The attempt that this run began, as soon as it is there."""
        attempts = self.folder.attempts()
        return attempts[-1] if attempts and attempts[-1].number > self.attempts else None

    def look(self) -> dict[str, Any] | None:
        """The newest line of metrics of the running attempt; keeps `fraction` up to date."""
        attempt = self.attempt()
        metrics = attempt.last_metrics() if attempt else None
        if metrics is not None:
            self.fraction = metrics["train_step"] / max(1, metrics["train_steps"])
            if self.first_fraction is None:
                self.first_fraction = self.fraction
        return metrics

    def elapsed(self) -> float:
        """Seconds of this run that went into the Step."""
        return time.monotonic() - self.since if self.since else self.seconds

    def progress(self) -> float:
        """Share of the Step done by this run."""
        return (1.0 if self.state == "done" else self.fraction) - (self.first_fraction or 0.0)


@dataclass
class Board:
    """All Steps of a run, in topological order."""

    tasks: dict[str, Task]
    slots: int = 1
    began: float = field(default_factory=time.monotonic)
    began_at: float = field(default_factory=time.time)
    already: int = 0
    """Steps that were done before"""

    @classmethod
    def of(cls, steps: Iterable[Step], store: Store, seconds: Mapping[str, float]) -> Board:
        """States from the store. A parent that is not among the steps counts as done."""
        tasks = {}
        for step in steps:
            folder = store.folder(step.kind, step.label, step.fingerprint)
            tasks[step.fingerprint] = Task(step, folder, work=seconds[step.fingerprint])
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

    def in_state(self, *states: State) -> list[Task]:
        return [task for task in self.tasks.values() if task.state in states]

    def ready(self) -> list[Task]:
        """Waiting Steps whose parents are done, the start of the longest chain first."""
        found = [task for task in self.in_state("waiting") if self.parents_done(task)]
        return sorted(found, key=lambda task: -task.urgency)

    def parents_done(self, task: Task) -> bool:
        return all(parent not in self.tasks or self.tasks[parent].state == "done" for parent in task.step.needs.values())

    def change(self, task: Task, state: State, why: str = "", *, watcher: Watcher) -> None:
        """Steps below one that failed, was interrupted or will not begin will not run."""
        task.state, task.why = state, why
        if state == "running":
            task.since = time.monotonic()
        elif task.since:
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
        left = [
            task.work * rates.get(task.step.kind, rates[""]) * (1 - task.fraction)
            for task in self.in_state("waiting", "running", "elsewhere")
        ]
        return max(max(left, default=0.0), sum(left) / self.slots)


def in_other_hands(folder: RunFolder) -> str:
    """`process 1234 on host works on it since 2026-11-25 13:15 UTC`; without the details before its attempt has begun."""
    attempts = folder.attempts()
    record = (read_json(attempts[-1].record) if attempts else None) or {}
    if record.get("state") != "running":
        return "another process works on it"
    started = datetime.fromisoformat(record["started"]).astimezone(UTC)
    return f"process {record['pid']} on {record['host']} works on it since {started:%Y-%m-%d %H:%M} UTC"


def last_error(attempt: Attempt) -> str:
    """One line from the record, else the log's last line."""
    record = read_json(attempt.record)
    if record and record.get("error"):
        return str(record["error"])
    try:
        lines = attempt.log.read_text(errors="replace").strip().splitlines()
    except FileNotFoundError:
        return ""
    return lines[-1] if lines else ""
