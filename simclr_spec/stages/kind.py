"""What a kind of stage is to the rest: parameters, parent, axes, metrics, what its Steps compute, and who executes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from simclr_spec.core.fields import build
from simclr_spec.data.splits import Splits
from simclr_spec.stages.common import StageConfig

Role = Literal["from", "teacher"]

ENCODER = ("depth", "width", "sk")
HEAD = ("head_layers", "head_width")
LABELS = ("label_fraction", "labels_per_class")


@dataclass(frozen=True, kw_only=True)
class Parent:
    """The kinds of stage that another may start from.

    `from`: the network is that of the parent's Step, which brings encoder and head. `teacher`: the network is the Step's own,
    its images and labels are the teacher's.
    """

    role: Role
    kinds: tuple[str, ...]
    classifies: bool = False
    """whether the parent's classifier is used"""


@dataclass(frozen=True, kw_only=True)
class Again:
    """What it takes to compute activations again in the backward pass."""

    flops: int = 0
    """more of them"""
    moved: float = 0
    """more outputs of convolutions"""
    saved: int = 0
    """outputs that are kept instead of `Work.saved`"""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a Step computes and keeps, on whatever machine."""

    flops: int
    moved: float = 0
    """outputs of convolutions, counted as training moves them; a pass without gradients moves about a third"""
    train_steps: int = 0
    parameters: int = 0
    """trained ones"""
    state: int = 0
    """bytes of weights, gradients and momentum in memory"""
    saved: int = 0
    """outputs of convolutions that are kept for the gradient at one time"""
    again: Again = Again()
    """what is else where a runner has activations computed again"""
    weights: int = 0
    """bytes that stay on disk"""
    precision: str = "fp32"
    sk: bool = False

    def recomputing(self) -> Work:
        """The same Step where a runner has activations computed again."""
        again = self.again
        return replace(self, flops=self.flops + again.flops, moved=self.moved + again.moved, saved=again.saved)


@dataclass(frozen=True, kw_only=True)
class Kind(ABC):
    """A kind of stage."""

    name: str
    parameters: type[StageConfig]
    executor: str
    """`module:function` that executes a Step, imported in train/ only; see train/loop/job.py"""
    metrics: tuple[str, ...]
    """what the result of a Step tells"""
    axes: tuple[str, ...] = ()
    """coordinates that tell its Steps from each other: `seed`, ENCODER and HEAD where rows of `encoders` are its own, LABELS
    (drawn by its seed), `from_layer`; the rest is its parent's"""
    parent: Parent | None = None
    reads: Splits = Splits.BOTH
    """of its images those that its Steps look at"""
    needs_classes: bool = True
    """whether its images must have classes"""
    needing_classes: tuple[str, ...] = ()
    """else: its switches that are off where images have none, unless somebody turns them on"""
    layer_of_head: str = ""
    """its parameter that names a layer of the head, if it has one"""
    for_others: bool = False
    """whether its Steps are made for those that start from them, and count as a part of what these cost"""
    from_file: bool = False
    """whether a weights file (specs/weights/) says what its network is, and where it lies"""
    priced_with_parents: bool = False
    """whether `work` must know the parents' parameters"""

    def build(self, params: Mapping[str, Any]) -> Any:
        """Nested plain values -> parameters. Raises TypeError on a missing or unknown field."""
        return build(self.parameters, dict(params))

    @property
    def trains(self) -> bool:
        """Whether its Steps learn anything; others only measure what was learnt elsewhere."""
        return False

    def splits(self, dataset: Mapping[str, Any]) -> Splits:
        """That a Step needs of a data set with these facts: all of it where a digest is declared, which is of all."""
        every = Splits.of(dataset["classes"])
        return every if self.reads and dataset["digest"] else self.reads & every

    def identity(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """What of a Step's parameters is in its fingerprint: all but what only says where something lies."""
        return params

    def quantities(self, config: Any) -> Mapping[str, float]:  # noqa: ARG002
        """What is known of a Step before it runs, by the names that reports use."""
        return {}

    @abstractmethod
    def work(self, config: Any, parents: Mapping[str, Any]) -> Work:
        """Of a Step with these parameters; `parents`: role -> parameters."""
