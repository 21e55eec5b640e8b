"""Randomness without state: every draw is a hash of (key, index, draw), equal on CPU and CUDA.

The hash is core/splitmix.py's, applied once for each part of the key, once for the index and once for the draw, in wrapping
64-bit integers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from simclr_spec.core.splitmix import GOLDEN, MULTIPLY, fold, signed


def _mix(x: Tensor) -> Tensor:
    """As splitmix.mix, in place; int64's >> copies the sign, so the copies are masked away."""
    x.bitwise_xor_((x >> 30).bitwise_and_((1 << 34) - 1)).mul_(signed(MULTIPLY[0]))
    x.bitwise_xor_((x >> 27).bitwise_and_((1 << 37) - 1)).mul_(signed(MULTIPLY[1]))
    return x.bitwise_xor_((x >> 31).bitwise_and_((1 << 33) - 1))


def bits(*key: int, index: Tensor) -> Tensor:
    """int64 of any shape -> 64 random bits for each element, as int64."""
    return _mix(index * signed(GOLDEN) + signed(fold(*key)))


def uniform(*key: int, index: Tensor, draws: int, first: int = 0) -> Tensor:
    """index (B,) int64 -> (B, draws) float32 in [0, 1), multiples of 2^-24: the draws first, first + 1, ... of each index."""
    draw = torch.arange(first + 1, first + draws + 1, device=index.device) * signed(MULTIPLY[0])
    x = _mix(bits(*key, index=index)[:, None] + draw)
    return (x >> 40).bitwise_and_((1 << 24) - 1).to(torch.float32).mul_(2.0**-24)


def permutation(*key: int, n: int) -> Tensor:
    """A permutation of 0..n-1 as (n,) int64: the order of n hashes."""
    return torch.argsort(bits(*key, index=torch.arange(n)), stable=True)
