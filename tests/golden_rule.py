"""The golden files' weight-filling rule, in numpy alone.

Element k of variable i in a file with seed s is a 32-bit hash of k + 0x9E3779B9 (i + 1) + 0x85EBCA6B s, spread over an interval
that depends on the variable's kind (golden README).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def filled(variable: Mapping[str, Any], seed: int) -> np.ndarray[Any, Any]:
    """The variable's value in TensorFlow's layout, rounded to float32."""
    first = (0x9E3779B9 * (variable["index"] + 1) + 0x85EBCA6B * seed) & 0xFFFFFFFF
    x = np.arange(int(np.prod(variable["shape"])), dtype=np.uint32) + np.uint32(first)
    x ^= x >> 16
    x *= np.uint32(0x7FEB352D)
    x ^= x >> 15
    x *= np.uint32(0x846CA68B)
    x ^= x >> 16
    r = 2 * (x / 2**32) - 1
    if variable["kind"] == "kernel":
        r = r * np.sqrt(3 / np.prod(variable["shape"][:-1]))
    elif variable["kind"] in ("gamma", "moving_variance"):
        r = 1 + 0.2 * r
    else:
        r = 0.1 * r
    return r.reshape(variable["shape"]).astype(np.float32)
