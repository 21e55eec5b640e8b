"""What a file of weights holds, in the words of our network, before any number of it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import torch

from simclr_spec.stages.common import EncoderConfig, HeadConfig
from simclr_spec.stages.imports import WeightsConfig
from simclr_spec.train.model.encoder import Block, Encoder, SelectiveKernel
from simclr_spec.train.model.heads import Classifier, ProjectionHead
from simclr_spec.train.stage import named

Shape = tuple[int, ...]
LEAVES = ("weight", "bias", "running_mean", "running_var")


class Tensors(Protocol):
    """Of a file, by its own names."""

    @property
    def shapes(self) -> Mapping[str, Shape]: ...

    def read(self, name: str) -> Any:
        """A torch.Tensor or a numpy array. Raises WeightsError."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """A file of some layout."""

    tensors: Tensors
    kernels: Sequence[Shape]
    """of its encoder's convolutions (out, in, height, width), the stem's first; none where there is no encoder"""
    names: Mapping[str, str]
    """our tensor -> the file's, for whatever it may have of our network"""
    layers: int = 0
    """of the projection head"""
    classes: int | None = None
    axes: Mapping[int, Sequence[int]] = field(default_factory=dict)
    """dimensions -> those of the file's tensor in our order, where it is another"""
    about: str = ""
    """what there is besides to say of it to a person"""

    def shape(self, name: str) -> Shape:
        """Of the file's tensor in our order of dimensions."""
        return turned(self.tensors.shapes[name], self.axes)


def turned(shape: Shape, axes: Mapping[int, Sequence[int]]) -> Shape:
    return tuple(shape[axis] for axis in axes.get(len(shape), range(len(shape))))


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The network that a file is to fill."""

    encoder: EncoderConfig
    head: HeadConfig
    weights: WeightsConfig

    @cached_property
    def network(self) -> Encoder:
        """The encoder, without its numbers."""
        with torch.device("meta"):
            return Encoder(self.encoder)

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Of all its tensors, by our names."""
        features, held = self.network.features, self.weights
        with torch.device("meta"):
            head = ProjectionHead(features, self.head, self.encoder, held.head_layers)
            width = head.widths[held.from_layer]
            classifier = {} if held.classes is None else {"classifier": Classifier(width, held.classes)}
        return {name: tuple(tensor.shape) for name, tensor in named(encoder=self.network, head=head, **classifier).items()}


def convolutions(encoder: Encoder) -> Iterator[tuple[str, str | None]]:
    """Names of the encoder's convolutions, each with its BN's, in the order in which the official code makes them."""
    for number in range(len(encoder.stem)):
        yield f"encoder.stem.{number}.conv", f"encoder.stem.{number}.norm"
    for group, number, block in blocks(encoder):
        place = f"encoder.group{group}.{number}"
        if block.shortcut is not None:
            yield f"{place}.shortcut.conv", f"{place}.shortcut.norm"
        for layer, module in block.layers.named_children():
            if isinstance(module, SelectiveKernel):
                yield f"{place}.layers.{layer}.streams.conv", f"{place}.layers.{layer}.streams.norm"
                yield f"{place}.layers.{layer}.squeeze", f"{place}.layers.{layer}.norm"
                yield f"{place}.layers.{layer}.expand", None
            else:
                yield f"{place}.layers.{layer}.conv", f"{place}.layers.{layer}.norm"


def blocks(encoder: Encoder) -> Iterator[tuple[int, int, Block]]:
    """Number of the group, number in it, the block."""
    for group in (1, 2, 3, 4):
        for number, block in enumerate(encoder.get_submodule(f"group{group}").children()):
            assert isinstance(block, Block)
            yield group, number, block


def by_leaf(modules: Mapping[str, str]) -> dict[str, str]:
    """Our module -> the file's, whose tensors are called alike."""
    return {f"{ours}.{leaf}": f"{theirs}.{leaf}" for ours, theirs in modules.items() for leaf in LEAVES}
