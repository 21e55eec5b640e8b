"""Sorted tables of leveldb (SSTables), as TensorFlow writes the index of a checkpoint.

Data blocks, the index block, whose values are the places of the data blocks, and 48 bytes with the place of the index block. A
block is followed by its compression (one byte) and a masked CRC-32C. Its keys are stored without what they share with the key
before; a list of those that share nothing, which only a search needs, is at its end.
"""

from __future__ import annotations

from collections.abc import Iterator

from simclr_spec.core.words import counted
from simclr_spec.data.bundle.crc32c import crc32c, masked
from simclr_spec.data.bundle.proto import varint

MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
Octets = bytes | memoryview
FOOTER, TRAILER = 48, 5
"""Bytes."""
_BLOCKS = 1000
"""TensorFlow writes blocks of 256 kB, of which a network's index fills one or two."""
_KEY, _VALUE = 1000, 10_000
"""Bytes at most; without a bound, keys of a few bytes could share megabytes."""


def entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values in the order of the keys, every checksum verified. Raises ValueError: what is wrong, what to do."""
    view = memoryview(data)  # whose parts are no copies
    if len(data) < FOOTER or data[-len(MAGIC) :] != MAGIC:
        raise ValueError("it has another end than such a file; fetch it again")
    footer = len(data) - FOOTER
    _, at = _handle(view, footer)  # of filters, which nobody reads
    place, _ = _handle(view, at)
    last, end = None, 0
    for number, (_, value) in enumerate(_items(_block(view, place, footer))):
        if number == _BLOCKS:
            raise ValueError(f"an index of more than {counted(_BLOCKS, 'block')} is none of a network")
        place, _ = _handle(value, 0)
        if place[0] < end:
            raise ValueError("its blocks overlap; fetch it again")
        end = sum(place)
        for key, value in _items(_block(view, place, footer)):
            if last is not None and key <= last:
                raise ValueError("its names are not in order; fetch it again")
            last = key
            yield key, value


def _handle(data: Octets, at: int) -> tuple[tuple[int, int], int]:
    """Where a block begins and how many bytes it has, and where this ends."""
    offset, at = varint(data, at)
    size, at = varint(data, at)
    return (offset, size), at


def _block(data: Octets, place: tuple[int, int], footer: int) -> Octets:
    offset, size = place
    end = offset + size
    if end + TRAILER > footer:
        raise ValueError(f"it has no block at byte {offset}; fetch it again")
    if masked(crc32c(data[offset : end + 1])) != int.from_bytes(data[end + 1 : end + TRAILER], "little"):
        raise ValueError(f"the checksum of its block at byte {offset} differs; fetch it again")
    if data[end]:
        raise ValueError("it is compressed, which is not read; save it without compression")
    return data[offset:end]


def _items(block: Octets) -> Iterator[tuple[bytes, bytes]]:
    end = len(block) - 4 * (int.from_bytes(block[-4:], "little") + 1)
    if end <= 0:
        raise ValueError("a block holds no entry")
    key, at = b"", 0
    while at < end:
        shared, at = varint(block, at)
        own, at = varint(block, at)
        size, at = varint(block, at)
        if shared > len(key) or at + own + size > end:
            raise ValueError("an entry ends outside its block")
        if shared + own > _KEY or size > _VALUE:
            raise ValueError("an entry is too long")
        key = key[:shared] + block[at : at + own]
        at += own
        yield key, bytes(block[at : at + size])
        at += size
