"""A checkpoint of TensorFlow: `PREFIX.index`, a table of what each tensor is and where it lies, and shards of raw bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simclr_spec.core.errors import WeightsError, did_you_mean
from simclr_spec.core.words import shown, size
from simclr_spec.data.bundle import graph, index, place, proto
from simclr_spec.data.bundle.crc32c import crc32c, masked

_INDEX_BYTES, _GRAPH_BYTES = 64_000_000, 8_000_000


class Bundle:
    """One checkpoint. Every fault, also of `read`, is a WeightsError: a sentence that names the file and what is wrong.

    Checkpoints of objects, saved models among them, have tensors by their path through the objects, and a graph that knows
    their full names: these are the names here, without a `:0` at the end.
    """

    shapes: Mapping[str, tuple[int, ...]]
    """of all tensors of numbers, by name"""
    files: list[Path]
    """the index, then the shards in order"""

    def __init__(self, prefix: Path) -> None:
        self.files = [Path(f"{prefix}{place.INDEX}")]
        with _naming(self.files[0]):
            if (found := _bytes(self.files[0])) > _INDEX_BYTES:
                raise ValueError(f"an index of {size(found)} is none of a network")
            shards, entries = _read(self.files[0].read_bytes())
        for shard in range(shards):  # the first that is missing ends this, however many there should be
            self.files.append(Path(f"{prefix}.data-{shard:05d}-of-{shards:05d}"))
            with _naming(self.files[-1]):
                _whole(self.files[-1], max((e.offset + e.bytes for e in entries.values() if e.shard == shard), default=0))
        text = self._graph(entries[graph.KEY]) if graph.KEY in entries else b""
        with _naming(self.files[0]):
            names = graph.names(text, entries)
        self._entries = {names[key]: entry for key, entry in entries.items() if entry.dtype in index.NUMBERS}
        self.shapes = {name: entry.shape for name, entry in self._entries.items()}

    def read(self, name: str) -> NDArray[Any]:
        """The tensor in its own type, bfloat16 as float32; its checksum is verified, and no other's bytes are read."""
        if name not in self._entries:
            raise WeightsError(f"{shown(self.files[0])} has no tensor '{shown(name)}'{did_you_mean(name, self._entries)}")
        entry = self._entries[name]
        with _naming(self.files[1 + entry.shard]):
            octets = self._octets(entry)
            _verify(name, octets, entry.crc)
        value = octets.view(index.NUMBERS[entry.dtype]).reshape(entry.shape)
        return (value.astype(np.uint32) << 16).view(np.float32) if entry.dtype == index.BFLOAT16 else value

    def _octets(self, entry: index.Entry) -> NDArray[np.uint8]:
        octets = np.fromfile(self.files[1 + entry.shard], np.uint8, entry.bytes, offset=entry.offset)
        if len(octets) < entry.bytes:
            raise ValueError("it became shorter meanwhile")
        return octets

    def _graph(self, entry: index.Entry) -> bytes:
        """One text, as a tensor of texts is stored: its length, a checksum of that, and itself."""
        with _naming(self.files[1 + entry.shard]):
            if (entry.dtype, entry.shape) != (index.TEXT, ()) or entry.bytes > _GRAPH_BYTES:
                raise ValueError("its graph of objects is not one text of moderate length")
            octets = self._octets(entry).tobytes()
            length, at = proto.varint(octets, 0)
            if len(octets) != at + 4 + length:
                raise ValueError("its graph of objects has another length; fetch it again")
            _verify(graph.KEY, length.to_bytes(4, "little") + octets[at:], entry.crc)
            return octets[at + 4 :]


def find(path: Path) -> Bundle | None:
    """The checkpoint that is so named; None where there is none. Raises WeightsError."""
    with _naming(path):
        prefix = place.prefix_of(path)
    return Bundle(prefix) if prefix else None


@lru_cache(maxsize=2)
def _read(data: bytes) -> tuple[int, Mapping[str, index.Entry]]:
    """Once in a process, which looks for the files of a checkpoint and then for its tensors."""
    return index.read(data)


def _bytes(path: Path) -> int:
    if not path.is_file():
        raise ValueError("there is no such file; fetch it, into the folder of the others")
    return path.stat().st_size


def _whole(path: Path, end: int) -> None:
    if (found := _bytes(path)) < end:
        raise ValueError(f"it is cut short, at {found:,} of {end:,} bytes; fetch it again")


def _verify(name: str, data: bytes | NDArray[np.uint8], crc: int) -> None:
    if masked(crc32c(data)) != crc:
        raise ValueError(f"the checksum of '{shown(name)}' differs; fetch it again")


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise WeightsError(f"cannot read {shown(path)}: {error}") from None
    except OSError as error:
        raise WeightsError(f"cannot read {shown(path)}: {error.strerror}") from None
