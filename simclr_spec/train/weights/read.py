"""A file of weights into the tensors of our network: what it is, then every shape, then every number is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor

from simclr_spec.core.errors import WeightsError
from simclr_spec.core.words import counted, shown
from simclr_spec.language.coordinates import as_selector
from simclr_spec.stages.common import EncoderConfig
from simclr_spec.stages.kind import ENCODER
from simclr_spec.stages.network import BLOCKS, BOTTLENECKS
from simclr_spec.train.tensors import sound
from simclr_spec.train.weights import own, separius, tensorflow, torchvision
from simclr_spec.train.weights.held import Held, Wanted

Tell = Callable[[str], object]
LAYOUTS: Mapping[str, Callable[[Path, Wanted], Held]] = {
    "tensorflow": tensorflow.held,
    "separius": separius.held,
    "torchvision": torchvision.held,
    "simclr-spec": own.held,
}
_FULL_WIDTH = 64
"""Channels of the first group at width 1, in all that is published."""
_SOME = 3


def read(wanted: Wanted, path: Path, tell: Tell) -> dict[str, Tensor]:
    """`encoder.*`, `head.*` and `classifier.*` in float32: all that such a network has, and nothing else.

    Raises WeightsError: a sentence that says what the file is, and what is wanted of it."""
    held = LAYOUTS[wanted.weights.layout](path, wanted)
    _check_network(wanted, path, held)
    names = dict(_named(wanted, path, held))
    tensors = {ours: _numbers(held, theirs, wanted.shapes[ours], path) for ours, theirs in names.items()}
    for ours, theirs in _lacking_here(wanted, held):
        if _numbers(held, theirs, held.shape(theirs), path).any():
            raise WeightsError(f"{shown(theirs)} in {shown(path)} is not zero, and the network here has no {ours}")
    taken = {*names.values()}
    aside = [shown(name) for name in held.tensors.shapes if name not in taken]
    tell(f"{counted(len(names), 'tensor')} are read{held.about}; left aside: {_some(aside)}")
    return tensors


def _check_network(wanted: Wanted, path: Path, held: Held) -> None:
    encoder, asked = wanted.encoder, wanted.weights
    network = as_selector({name: getattr(encoder, name) for name in ENCODER})
    if encoder.base_width != _FULL_WIDTH:
        network += f" of base_width {encoder.base_width}"
    if not held.kernels:
        some = _some(list(map(shown, held.tensors.shapes)))
        _refuse(path, f"holds no network of layout {asked.layout!r}{held.about}; it has {some}", network)
    found = _recognised(held, encoder)
    if found is None:
        _refuse(path, f"holds a network of {counted(len(held.kernels), 'convolution')} that is not known here", network)
    depth, channels, sk = found
    if (depth, channels, sk) != (encoder.depth, encoder.base_width * encoder.width, encoder.sk):
        width = f"{channels} channels" if channels % _FULL_WIDTH else f"{channels // _FULL_WIDTH}×"
        _refuse(path, f"holds a ResNet-{depth} ({width}{', SK' * sk})", network)
    if held.layers < asked.head_layers:
        holds = f"holds {counted(held.layers, 'layer')} of the projection head" if held.layers else "has no projection head"
        _refuse(path, holds, f"head_layers = {asked.head_layers}")
    if asked.classes is not None and held.classes != asked.classes:
        holds = "has no classifier" if held.classes is None else f"has a classifier of {held.classes:,} classes"
        _refuse(path, holds, f"one of {asked.classes:,} classes")


def _refuse(path: Path, holds: str, wanted: str) -> NoReturn:
    raise WeightsError(f"{shown(path)} {holds}, and {wanted} is wanted")


def _recognised(held: Held, config: EncoderConfig) -> tuple[int, int, bool] | None:
    """Depth, channels of the first group, and whether there are selective kernels."""
    for depth, blocks in BLOCKS.items():
        for sk in (False, True) if depth >= BOTTLENECKS else (False,):
            stem = 3 if sk and config.stem != "cifar" else 1
            each = 2 if depth < BOTTLENECKS else 5 if sk else 3
            if len(held.kernels) == stem + len(blocks) + each * sum(blocks):
                return depth, held.kernels[stem - 1][0], sk
    return None


def _named(wanted: Wanted, path: Path, held: Held) -> Iterator[tuple[str, str]]:
    """Our tensor, the file's. Their shapes agree, but that a convolution of one pixel may be a matrix here."""
    for ours, shape in wanted.shapes.items():
        theirs = held.names.get(ours)
        if theirs is None or theirs not in held.tensors.shapes:
            raise WeightsError(f"{shown(path)} lacks a tensor {theirs or ours}")
        if held.shape(theirs) not in (shape, (*shape, 1, 1)):
            found = list(held.tensors.shapes[theirs])
            raise WeightsError(f"{shown(theirs)} in {shown(path)} is {found}, and does not fit {ours}, which is {list(shape)}")
        yield ours, theirs


def _lacking_here(wanted: Wanted, held: Held) -> Iterator[tuple[str, str]]:
    """β of BNs that have none here: a conversion may write zeros."""
    for ours, theirs in held.names.items():
        gamma = wanted.shapes.get(ours.removesuffix(".bias") + ".weight")
        lacking = ours not in wanted.shapes and ours.endswith(".norm.bias") and theirs in held.tensors.shapes
        if lacking and held.shape(theirs) == gamma:
            yield ours, theirs


def _numbers(held: Held, theirs: str, shape: tuple[int, ...], path: Path) -> Tensor:
    found = held.tensors.read(theirs)
    tensor: Tensor = found if isinstance(found, Tensor) else torch.from_numpy(found)
    axes = held.axes.get(tensor.dim(), range(tensor.dim()))
    return sound(tensor.permute(*axes).reshape(shape), theirs, f"{shown(theirs)} in {shown(path)}")


def _some(names: list[str]) -> str:
    """`'a', 'b', 'c' and 12 more`."""
    quoted = ", ".join(f"'{name}'" for name in names[:_SOME])
    return quoted + (f" and {len(names) - _SOME:,} more" if len(names) > _SOME else "") if names else "nothing"
