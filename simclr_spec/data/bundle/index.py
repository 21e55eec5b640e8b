"""What the index of a checkpoint says: of how many shards it is, and of each tensor what it is and where (tensor_bundle.proto).

Messages have their fields by number. Every ValueError says what is wrong.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

from simclr_spec.core.words import counted, shown, size
from simclr_spec.data.bundle import proto, table

NUMBERS = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 14: "<u2", 17: "<u2", 19: "<f2"}
"""TensorFlow's number of a type -> numpy's name. Others (text, complex numbers) are no weights."""
TEXT, BFLOAT16 = 7, 14
_WIDTHS = {dtype: int(name[-1]) for dtype, name in NUMBERS.items()}
_FORMAT = 1
_TENSORS, _BYTES, _DIMENSIONS, _ELEMENTS = 100_000, 1_000_000_000, 32, 2**40
"""Far more than a network of ours has: what a file may ask for has a bound."""
_SLICES = "{} is stored in slices, which are not read; save it without partitions"


class Entry(NamedTuple):
    """Of one tensor."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    bytes: int
    crc: int
    """masked"""


def read(data: bytes) -> tuple[int, dict[str, Entry]]:
    """How many shards there are, and the tensors by their keys. Their places are in these shards, and do not overlap."""
    found = table.entries(data)
    key, value = next(found, (b"-", b""))
    if key:
        raise ValueError("it does not begin with the header of a checkpoint")
    shards = _shards(value)
    tensors: dict[str, Entry] = {}
    for key, value in found:
        name = _name(key)
        tensors[name] = _entry(name, value, shards)
        if len(tensors) > _TENSORS:
            raise ValueError(f"more than {counted(_TENSORS, 'tensor')} are none of a network")
    _disjoint(tensors)
    return shards, tensors


def _shards(value: bytes) -> int:
    header = proto.record(value)
    if proto.number(header, 2):
        raise ValueError("it was written on a big-endian computer, which is not read")
    if proto.number(proto.record(proto.inside(header, 3)), 2) > _FORMAT:
        raise ValueError("it needs a newer reader than this one")
    return proto.number(header, 1)


def _name(key: bytes) -> str:
    if key.startswith(b"\0"):
        raise ValueError(_SLICES.format("a tensor"))
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise ValueError("a name is no UTF-8 text") from None


def _entry(name: str, value: bytes, shards: int) -> Entry:
    fields = proto.record(value)
    if 7 in fields:
        raise ValueError(_SLICES.format(_quoted(name)))
    dtype, shard, offset, length, crc = (proto.number(fields, field) for field in (1, 3, 4, 5, 6))
    entry = Entry(dtype, _shape(proto.inside(fields, 2)), shard, offset, length, crc)
    if shard >= shards:
        raise ValueError(f"{_quoted(name)} lies in shard {shard} of {shards}")
    if dtype in NUMBERS and length != math.prod(entry.shape) * _WIDTHS[dtype]:
        raise ValueError(f"{_quoted(name)} of shape {entry.shape} has {length:,} bytes")
    if length > _BYTES:
        raise ValueError(f"{_quoted(name)} of {size(length)} is none of a network")
    return entry


def _shape(message: bytes) -> tuple[int, ...]:
    shape = tuple(proto.number(proto.record(dimension), 1) for dimension in proto.each(message, 2))
    if len(shape) > _DIMENSIONS or math.prod(extent or 1 for extent in shape) > _ELEMENTS:
        raise ValueError("a tensor has an impossible shape")
    return shape


def _disjoint(tensors: dict[str, Entry]) -> None:
    places = sorted((entry.shard, entry.offset, entry.bytes, name) for name, entry in tensors.items() if entry.bytes)
    for (shard, offset, length, one), (other_shard, other_offset, _, other) in pairwise(places):
        if shard == other_shard and offset + length > other_offset:
            raise ValueError(f"{_quoted(one)} and {_quoted(other)} overlap")


def _quoted(name: str) -> str:
    return f"'{shown(name)}'"
