"""A Step on its way through a run."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simclr_spec.core.files import read_json
from simclr_spec.core.states import TaskState
from simclr_spec.plan import Step
from simclr_spec.store.layout import Attempt, RunFolder


@dataclass(eq=False, kw_only=True)
class Task:
    """A Step with its state in this run, and how far it is."""

    step: Step
    folder: RunFolder
    state: TaskState = "waiting"
    why: str = ""
    """one line: the failure, or what blocks it"""
    log: Path | None = None
    since: float = 0.0
    """time.monotonic() when it began"""
    seconds: float = 0.0
    """it took in this run"""
    earlier_attempts: int = 0
    """highest number of an attempt before it was handed over"""
    work: float = 0.0
    """estimated seconds"""
    devices: int = 1
    """GPUs or cores that work on it at a time"""
    fraction: float = 0.0
    """of the train steps, when somebody last looked"""
    first_fraction: float | None = None
    """where this run took it up"""
    urgency: float = 0.0
    """work on the longest chain that begins here"""
    has_namesake: bool = False

    @property
    def name(self) -> str:
        """As a person reads it: `finetune r18-2x-digits-1pc-s0`, and the fingerprint's beginning where another is called so."""
        name = f"{self.step.kind} {self.step.label}"
        return f"{name} {self.step.fingerprint[:8]}" if self.has_namesake else name

    def parents(self) -> dict[str, RunFolder]:
        """Fingerprint -> run folder."""
        needs = read_json(self.folder.step, "needs")["needs"].values()
        return {need["fingerprint"]: self.folder.store.folder(need["folder"]) for need in needs}

    def count_attempts(self) -> None:
        """Before it is handed over: a later attempt is this run's."""
        attempts = self.folder.attempts()
        self.earlier_attempts = attempts[-1].number if attempts else 0

    def attempt(self) -> Attempt | None:
        """The attempt that this run began, as soon as it is there."""
        attempts = self.folder.attempts()
        return attempts[-1] if attempts and attempts[-1].number > self.earlier_attempts else None

    def look(self) -> dict[str, Any] | None:
        """The newest line of metrics of the running attempt; keeps `fraction` up to date."""
        attempt = self.attempt()
        metrics = attempt.last_metrics() if attempt else None
        if metrics is not None:
            self.fraction = metrics["train_step"] / metrics["train_steps"]
            if self.first_fraction is None:
                self.first_fraction = self.fraction
        return metrics

    def elapsed(self) -> float:
        """Seconds of this run that went into the Step."""
        return time.monotonic() - self.since if self.since else self.seconds

    def progress(self) -> float:
        """Share of the Step done by this run."""
        return (1.0 if self.state == "done" else self.fraction) - (self.first_fraction or 0.0)
