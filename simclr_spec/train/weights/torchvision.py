"""torchvision's ResNets of bottlenecks, and timm's of the same names: an encoder and `fc`, no projection head."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from simclr_spec.core.errors import WeightsError
from simclr_spec.core.words import shown
from simclr_spec.stages.network import BLOCKS, BOTTLENECKS
from simclr_spec.train.model.encoder import Encoder
from simclr_spec.train.weights.files import opened
from simclr_spec.train.weights.held import Held, Wanted, blocks, by_leaf

_BASIC = {2 * sum(blocks) + len(blocks): depth for depth, blocks in BLOCKS.items() if depth < BOTTLENECKS}
"""Convolutions of a network of basic blocks, whose first group has no projection -> its depth."""


def held(path: Path, wanted: Wanted) -> Held:
    tensors = opened(path)
    kernels = [shape for shape in tensors.shapes.values() if len(shape) == 4]
    if depth := _BASIC.get(len(kernels)):
        sentence = f"holds a ResNet-{depth} without a projection in its first group, which the network here has"
        raise WeightsError(f"{shown(path)} {sentence}; take one of depth {BOTTLENECKS} or more")
    classifier = tensors.shapes.get("fc.weight")
    return Held(
        tensors=tensors,
        kernels=kernels if "conv1.weight" in tensors.shapes else [],
        names=by_leaf({**dict(_modules(wanted.network)), "classifier": "fc"}),
        classes=classifier[0] if classifier else None,
    )


def _modules(encoder: Encoder) -> Iterator[tuple[str, str]]:
    """Our module, theirs."""
    yield "encoder.stem.0.conv", "conv1"
    yield "encoder.stem.0.norm", "bn1"
    for group, number, block in blocks(encoder):
        ours, theirs = f"encoder.group{group}.{number}", f"layer{group}.{number}"
        yield f"{ours}.shortcut.conv", f"{theirs}.downsample.0"
        yield f"{ours}.shortcut.norm", f"{theirs}.downsample.1"
        for layer in range(len(block.layers)):
            yield f"{ours}.layers.{layer}.conv", f"{theirs}.conv{layer + 1}"
            yield f"{ours}.layers.{layer}.norm", f"{theirs}.bn{layer + 1}"
