"""What a file of weights holds, in the words of our network, before any number of it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from simclr_spec.stages.imports import ImportConfig
from simclr_spec.train.model.encoder import Block, Encoder, SelectiveKernel
from simclr_spec.train.model.heads import Classifier, ProjectionHead

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


class Wanted:
    """The network that an import is to fill, without its numbers."""

    def __init__(self, config: ImportConfig) -> None:
        held = config.weights
        with torch.device("meta"):
            self.encoder = Encoder(config.encoder)
            self.head = ProjectionHead(self.encoder.features, config.head, config.encoder, held.head_layers)
            sits = ProjectionHead(self.encoder.features, config.head, config.encoder, held.from_layer)
            classifier = {} if held.classes is None else {"classifier": Classifier(sits.features, held.classes)}
        modules = {"encoder": self.encoder, "head": self.head, **classifier}
        self.shapes: dict[str, Shape] = {
            f"{prefix}.{name}": tuple(tensor.shape)
            for prefix, module in modules.items()
            for name, tensor in module.state_dict().items()
        }


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
