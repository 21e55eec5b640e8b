"""Checkpoints as TensorFlow writes them, by numpy alone: `write_bundle(prefix, {name: array})`.

TensorFlow reads what it writes (tests/tensorflow). Parts may be called by themselves, to write what no TensorFlow would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simclr_spec.data.bundle.crc32c import crc32c, masked
from simclr_spec.data.bundle.table import FOOTER, MAGIC

TYPES = {"float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int16": 5, "int8": 6, "int64": 9, "uint16": 17, "float16": 19}
TEXT, BFLOAT16 = 7, 14
GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
EMPTY = bytes([0, 0, 0, 0, 1, 0, 0, 0])
"""A block without entries has a restart all the same."""
Pairs = list[tuple[bytes, bytes]]


def write_bundle(
    prefix: Path, tensors: Mapping[str, NDArray[Any]], *, shards: int = 1, block: int = 2**18, graph: bytes | None = None
) -> list[Path]:
    """`PREFIX.index` and its shards, tensors dealt to these in turn. With a `graph` as checkpoints of objects are."""
    data = [bytearray() for _ in range(shards)]
    items: Pairs = [(b"", header(shards))]
    for position, name in enumerate(sorted([*tensors, *[GRAPH] * (graph is not None)], key=str.encode)):
        shard = position % shards
        if name == GRAPH:
            assert graph is not None
            octets, crc = text(graph)
            described = entry(TEXT, (), shard, len(data[shard]), len(octets), crc)
        else:
            value = np.asarray(tensors[name])
            octets = value.tobytes()
            described = entry(TYPES[value.dtype.name], value.shape, shard, len(data[shard]), len(octets), crc32c(octets))
        items.append((name.encode(), described))
        data[shard] += octets
    files = [Path(f"{prefix}.index"), *(Path(f"{prefix}.data-{shard:05d}-of-{shards:05d}") for shard in range(shards))]
    for file, content in zip(files, [table(items, block), *data], strict=True):
        file.write_bytes(bytes(content))
    return files


def table(items: Pairs, block: int = 2**18) -> bytes:
    """A table in blocks of about so many bytes."""
    out, index = bytearray(), []
    while items:
        count, length = 0, 0
        while count < len(items) and length < block:
            length += sum(map(len, items[count]))
            count += 1
        index.append((items[count - 1][0], add(out, blocked(items[:count]))))
        items = items[count:]
    places = add(out, EMPTY) + add(out, blocked(index, restart=1))
    return bytes(out + places.ljust(FOOTER - len(MAGIC), b"\0") + MAGIC)


def add(out: bytearray, block: bytes, compression: int = 0) -> bytes:
    """A block, at the end of `out`: its place."""
    place = varint(len(out)) + varint(len(block))
    block += bytes([compression])
    out += block + masked(crc32c(block)).to_bytes(4, "little")
    return place


def blocked(items: Pairs, restart: int = 16) -> bytes:
    """A block; every so many entries one shares nothing with that before."""
    out, restarts, last = bytearray(), [], b""
    for position, (key, value) in enumerate(items):
        shared = next(
            (at for at, (one, other) in enumerate(zip(key, last, strict=False)) if one != other), min(len(key), len(last))
        )
        if position % restart == 0:
            shared = 0
            restarts.append(len(out))
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    return bytes(out) + b"".join(number.to_bytes(4, "little") for number in [*restarts, len(restarts)])


def header(shards: int, endianness: int = 0, newest: int = 0) -> bytes:
    return field(1, shards) + field(2, endianness) + field(3, field(1, 1) + field(2, newest))


def entry(dtype: int, shape: Sequence[int], shard: int, offset: int, size: int, crc: int) -> bytes:
    """`crc` without its mask."""
    extents = b"".join(field(2, field(1, extent)) for extent in shape)
    numbers = field(1, dtype) + field(2, extents) + field(3, shard) + field(4, offset) + field(5, size)
    return numbers + tag(6, 5) + masked(crc).to_bytes(4, "little")


def text(content: bytes) -> tuple[bytes, int]:
    """A tensor of one text as it is stored, and its checksum."""
    length = len(content).to_bytes(4, "little")
    rest = masked(crc32c(length)).to_bytes(4, "little") + content
    return varint(len(content)) + rest, crc32c(length + rest)


def object_graph(names: Mapping[str, str]) -> bytes:
    """For keys of tensors, their full names."""
    return b"".join(
        field(1, field(2, field(1, b"VARIABLE_VALUE") + field(2, name.encode()) + field(3, key.encode())))
        for key, name in names.items()
    )


def field(number: int, value: int | bytes) -> bytes:
    """A number that is 0 is left out."""
    if isinstance(value, int):
        return (tag(number, 0) + varint(value)) * (value != 0)
    return tag(number, 2) + varint(len(value)) + value


def tag(number: int, wire: int) -> bytes:
    return varint(number << 3 | wire)


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])
