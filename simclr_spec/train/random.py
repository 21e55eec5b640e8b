"""Randomness without state: every draw is a hash of (key, index, draw), equal on CPU and CUDA.

The hash is the finaliser of SplitMix64 (Steele, Lea, Flood 2014), applied once for each part of the key, once for the index and
once for the draw, in wrapping 64-bit integers.
"""

from __future__ import annotations

import torch
from torch import Tensor

# The part of a key that says what is drawn, so that no two uses share numbers.
ORDER, CROP, PIXELS, BLUR, AUTOAUGMENT, LABELS, TEST, SPLIT = range(1, 9)

_GOLDEN = 0x9E3779B97F4A7C15
_MULTIPLY = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_MASK = (1 << 64) - 1


def _signed(value: int) -> int:
    """The same 64 bits as torch's int64 holds them."""
    value &= _MASK
    return value - (1 << 64) if value >> 63 else value


def _mix_int(x: int) -> int:
    x = ((x ^ (x >> 30)) * _MULTIPLY[0]) & _MASK
    x = ((x ^ (x >> 27)) * _MULTIPLY[1]) & _MASK
    return x ^ (x >> 31)


def _mix(x: Tensor) -> Tensor:
    """In place; int64's >> copies the sign, so the copies are masked away."""
    x.bitwise_xor_((x >> 30).bitwise_and_((1 << 34) - 1)).mul_(_signed(_MULTIPLY[0]))
    x.bitwise_xor_((x >> 27).bitwise_and_((1 << 37) - 1)).mul_(_signed(_MULTIPLY[1]))
    return x.bitwise_xor_((x >> 31).bitwise_and_((1 << 33) - 1))


def fold(*key: int) -> int:
    """One 64-bit number for a key; the order and the number of its parts matter."""
    state = len(key)
    for part in key:
        state = _mix_int((state ^ _mix_int(part & _MASK)) + _GOLDEN)
    return state


def bits(*key: int, index: Tensor) -> Tensor:
    """int64 of any shape -> 64 random bits for each element, as int64."""
    return _mix(index * _signed(_GOLDEN) + _signed(fold(*key)))


def uniform(*key: int, index: Tensor, draws: int, first: int = 0) -> Tensor:
    """index (B,) int64 -> (B, draws) float32 in [0, 1), multiples of 2^-24: the draws first, first + 1, ... of each index."""
    draw = torch.arange(first + 1, first + draws + 1, device=index.device) * _signed(_MULTIPLY[0])
    x = _mix(bits(*key, index=index)[:, None] + draw)
    return (x >> 40).bitwise_and_((1 << 24) - 1).to(torch.float32).mul_(2.0**-24)


def permutation(*key: int, n: int, device: torch.device | str = "cpu") -> Tensor:
    """A permutation of 0..n-1 as (n,) int64: the order of n hashes."""
    return torch.argsort(bits(*key, index=torch.arange(n, device=device)), stable=True)
