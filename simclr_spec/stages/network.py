"""Closed forms of the networks: parameters, FLOPs and activations, from the drawing alone.

A FLOP is a multiplication or an addition of a convolution or a matrix product: two per weight used, as torch's counter has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}
"""Depth -> residual blocks in each of the four groups."""
BOTTLENECKS = 50
"""The least depth whose blocks are bottlenecks; selective kernels need them. Below they are basic."""
_SHAPE = ("depth", "width", "sk", "base_width", "stem", "sk_ratio", "sk_min_width", "stride")


@dataclass(frozen=True, kw_only=True)
class Network:
    """Counts per network, and per image at one image size."""

    features: int
    trainable: int
    total: int
    """with BN's moving mean and variance: what Table 1 counts"""
    forward: int
    """FLOPs of one image"""
    backward: int
    """FLOPs of one image's gradients; none flow into the image itself"""
    outputs: int
    """values that the convolutions put out for one image"""
    kept: int = 0
    """of these, what has the size of all that is there at one time where a runner has activations computed again"""


@dataclass(frozen=True)
class _Conv:
    inputs: int
    outputs: int
    kernel: int
    size: int
    """side of the output"""
    norm: bool = True

    @property
    def weights(self) -> int:
        return self.inputs * self.outputs * self.kernel**2


def encoder(config: Mapping[str, Any], image_size: int) -> Network:
    """The ResNet up to its average pooling; `config` has the values of an EncoderConfig."""
    return _encoder(**{name: config[name] for name in _SHAPE}, image_size=image_size)


@lru_cache(maxsize=1024)
def _encoder(
    *,
    depth: int,
    width: int,
    sk: bool,
    base_width: int,
    stem: str,
    sk_ratio: float,
    sk_min_width: int,
    stride: str,
    image_size: int,
) -> Network:
    base = base_width * width
    parts, inputs = [[*_stem(base, sk, stem, image_size)]], 0
    first, size, channels = parts[0][0], parts[0][-1].size, base
    if stem != "cifar":
        size = _half(size)
    for number, blocks in enumerate(BLOCKS[depth]):
        inner = base * 2**number
        outer = inner if depth < BOTTLENECKS else 4 * inner
        for block in range(blocks):
            before, size = size, _half(size) if block == 0 and number else size
            middle = size if stride == "1x1" else before
            part = [*_block(channels, inner, outer, middle, size, (sk_ratio, sk_min_width) if sk else None)]
            if block == 0:
                part.append(_Conv(channels, outer, 1, size))
            parts.append(part)
            inputs += channels * before**2
            channels = outer
    convs = [conv for part in parts for conv in part]
    norms = sum(conv.outputs for conv in convs if conv.norm)
    weights = sum(conv.weights for conv in convs)
    forward = sum(2 * conv.weights * conv.size**2 for conv in convs)
    backward = 2 * forward - 2 * first.weights * first.size**2
    outputs = [sum(conv.outputs * conv.size**2 for conv in part) for part in parts]
    return Network(
        features=channels,
        trainable=weights + 2 * norms,
        total=weights + 4 * norms,
        forward=forward,
        backward=backward,
        outputs=sum(outputs),
        kept=inputs // 2 + max(outputs),  # of an output two values are kept: the convolution's, and what becomes of it
    )


def _half(size: int) -> int:
    return -(-size // 2)


def _stem(base: int, sk: bool, stem: str, size: int) -> Iterator[_Conv]:
    if stem == "cifar":
        yield _Conv(3, base, 3, size)
    elif not sk:
        yield _Conv(3, base, 7, _half(size))
    else:
        yield _Conv(3, base // 2, 3, _half(size))
        yield _Conv(base // 2, base // 2, 3, _half(size))
        yield _Conv(base // 2, base, 3, _half(size))


def _block(inputs: int, inner: int, outer: int, before: int, size: int, sk: tuple[float, int] | None) -> Iterator[_Conv]:
    if outer == inner:
        yield _Conv(inputs, inner, 3, size)
        yield _Conv(inner, inner, 3, size)
        return
    yield _Conv(inputs, inner, 1, before)
    if sk is None:
        yield _Conv(inner, inner, 3, size)
    else:
        middle = max(int(inner * sk[0]), sk[1])
        yield _Conv(inner, 2 * inner, 3, size)
        yield _Conv(inner, middle, 1, 1)
        yield _Conv(middle, 2 * inner, 1, 1, norm=False)
    yield _Conv(inner, outer, 1, size)


def head(features: int, config: Mapping[str, Any], layers: int | None = None) -> Network:
    """The projection head, or only its first `layers`: BN in every layer, without beta in the last unless `last_beta`."""
    hidden, whole = features * config["width"], config["layers"]
    kept = whole if layers is None else layers
    trainable = moving = forward = 0
    inputs = features
    for number in range(kept):
        last = number == whole - 1
        out = config["out_dim"] if last else hidden
        forward += 2 * inputs * out
        trainable += inputs * out + (out if last and not config["last_beta"] else 2 * out)
        moving += 2 * out
        inputs = out
    return Network(
        features=inputs, trainable=trainable, total=trainable + moving, forward=forward, backward=2 * forward, outputs=0
    )


def classifier(features: int, classes: int) -> Network:
    """One linear layer with bias."""
    weights, stored = features * classes, features * classes + classes
    return Network(features=classes, trainable=stored, total=stored, forward=2 * weights, backward=4 * weights, outputs=0)
