"""A Step in the hands of this process, and what whoever executes it must give back.

A kind of stage names its executor, a function (Job) -> Outcome. It may write into the attempt's folder, and raises Interrupted
once `job.stop` asks for it. With several processes all of them call it, and rank 0's outcome counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from simclr_spec.core.errors import UsageError
from simclr_spec.stages.kinds import KINDS
from simclr_spec.store.layout import Attempt, RunFolder, Store
from simclr_spec.store.outcomes import Outcomes
from simclr_spec.train.loop.attempt import Record, Stop


@dataclass(frozen=True, kw_only=True)
class Job:
    """One attempt at a Step; `step` is its step.json."""

    folder: RunFolder
    attempt: Attempt
    step: Mapping[str, Any]
    device: torch.device
    stop: Stop
    record: Record

    @property
    def kind(self) -> str:
        return str(self.step["kind"])

    @property
    def fingerprint(self) -> str:
        return str(self.step["fingerprint"])

    @property
    def store(self) -> Store:
        return self.folder.store

    def config(self) -> Any:
        """The Step's parameters. Raises UsageError where they are another version's."""
        try:
            return KINDS[self.kind].build(self.step["params"])
        except TypeError as error:
            raise UsageError(f"its {self.folder.step.name} was written by another version: {error}") from None

    def parents(self) -> dict[str, RunFolder]:
        return {role: self.store.folder(need["folder"]) for role, need in self.step["needs"].items()}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a Step has come to."""

    metrics: Mapping[str, float]
    weights: Mapping[str, Tensor]
    """that later Steps start from"""
    seconds: float
    """of work, over all attempts"""
    parameters: int = 0
    """trained ones"""
    counts: Mapping[str, Any] = field(default_factory=dict)
    """what else the result tells, such as train_steps"""
    tests: Mapping[str, Outcomes] = field(default_factory=dict)
    """what became of each test image, by the name of the test; see store/outcomes.py"""
    classes: tuple[str, ...] = ()
    """names of what its classifier tells apart, in the order of its outputs; empty without one, or where nobody knows them"""
    origin: tuple[str, ...] = ()
    """where weights come from that were not trained here; of its parents' it need not tell"""
    licence: tuple[str, ...] = ()
    """of these"""


Executor = Callable[[Job], Outcome]


def imported(name: str) -> Any:
    """What `module:name` names."""
    module, _, inside = name.partition(":")
    return getattr(import_module(module), inside)
