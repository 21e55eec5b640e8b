"""Hashes of 64-bit integers: the finaliser of SplitMix64 (Steele, Lea, Flood 2014) over the parts of a key.

Every draw of the project is such a hash; train/random.py computes the same ones for tensors.
"""

from __future__ import annotations

# The part of a key that says what is drawn, so that no two uses share numbers.
ORDER, CROP, PIXELS, BLUR, AUTOAUGMENT, LABELS, TEST, SPLIT = range(1, 9)

GOLDEN = 0x9E3779B97F4A7C15
MULTIPLY = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_MASK = (1 << 64) - 1


def signed(value: int) -> int:
    """The same 64 bits as an int64 holds them."""
    value &= _MASK
    return value - (1 << 64) if value >> 63 else value


def mix(x: int) -> int:
    x = ((x ^ (x >> 30)) * MULTIPLY[0]) & _MASK
    x = ((x ^ (x >> 27)) * MULTIPLY[1]) & _MASK
    return x ^ (x >> 31)


def fold(*key: int) -> int:
    """One 64-bit number for a key; the order and the number of its parts matter."""
    state = len(key)
    for part in key:
        state = mix((state ^ mix(part & _MASK)) + GOLDEN)
    return state


def shuffled(*key: int, n: int) -> list[int]:
    """0..n-1 in the order of their hashes."""
    start = fold(*key)
    return sorted(range(n), key=lambda index: signed(mix((index * GOLDEN + start) & _MASK)))
