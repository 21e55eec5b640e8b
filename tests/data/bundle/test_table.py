"""Tables as leveldb writes them, and those that it never would."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simclr_spec.data.bundle import table
from simclr_spec.data.bundle.table import FOOTER, MAGIC
from tests.data.bundle.writing import EMPTY, add, blocked, varint
from tests.data.bundle.writing import table as written

BLOCK = blocked([(b"a", b"1"), (b"ab", b"2")])


def ended(out: bytes, index: bytes) -> bytes:
    """With the place of the index block."""
    return out + (varint(0) * 2 + index).ljust(FOOTER - len(MAGIC), b"\0") + MAGIC


def with_blocks(*blocks: bytes, compression: int = 0) -> bytes:
    out = bytearray()
    places = [(bytes([position + 1]), add(out, block, compression)) for position, block in enumerate(blocks)]
    index = add(out, blocked(places))
    return ended(bytes(out), index)


def with_places(*places: bytes) -> bytes:
    """One block, and an index block that names these."""
    out = bytearray()
    add(out, BLOCK)
    index = add(out, blocked([(bytes([position + 1]), place) for position, place in enumerate(places)]))
    return ended(bytes(out), index)


@given(st.dictionaries(st.binary(max_size=30), st.binary(max_size=30), min_size=1), st.integers(1, 200))
def test_what_is_written_is_read(items: dict[bytes, bytes], block: int) -> None:
    assert list(table.entries(written(sorted(items.items()), block))) == sorted(items.items())


HOSTILE = {
    "nothing": (b"", "it has another end than such a file; fetch it again"),
    "another file": (b"\x89PNG" * 100, "it has another end than such a file; fetch it again"),
    "an end alone": (ended(b"", varint(0) * 2), "it has no block at byte 0; fetch it again"),
    "an index block far away": (ended(BLOCK, varint(2**63) + varint(8)), f"it has no block at byte {2**63}; fetch it again"),
    "an index block of exabytes": (ended(BLOCK, varint(0) + varint(2**64 - 1)), "it has no block at byte 0; fetch it again"),
    "a place without an end": (ended(BLOCK, b"\xff" * 38), "a number has more than 64 bits"),
    "a block far away": (with_places(varint(10**18) + varint(8)), f"it has no block at byte {10**18}; fetch it again"),
    "a block twice": (with_places(*[varint(0) + varint(len(BLOCK))] * 2), "its blocks overlap; fetch it again"),
    "a block within a block": (
        with_places(varint(2) + varint(6)),
        "the checksum of its block at byte 2 differs; fetch it again",
    ),
    "half a place": (with_places(b"\x80"), "a number is cut short"),
    "compressed": (with_blocks(BLOCK, compression=1), "it is compressed, which is not read; save it without compression"),
    "blocks in another order": (with_blocks(BLOCK, BLOCK), "its names are not in order; fetch it again"),
    "a name twice": (with_blocks(blocked([(b"a", b""), (b"a", b"")])), "its names are not in order; fetch it again"),
    "an empty block": (with_blocks(EMPTY), "a block holds no entry"),
    "a block of no bytes": (with_blocks(b""), "a block holds no entry"),
    "absurdly many restarts": (with_blocks(BLOCK[:-4] + b"\xff" * 4), "a block holds no entry"),
    "more shared than there is": (with_blocks(b"\x05\x01\x00a" + bytes(8)), "an entry ends outside its block"),
    "a name beyond the block": (with_blocks(b"\x00\x7f\x00a" + bytes(8)), "an entry ends outside its block"),
    "a value of exabytes": (with_blocks(b"\x00\x01" + varint(2**62) + b"a" + bytes(8)), "an entry ends outside its block"),
    "a long name": (with_blocks(blocked([(b"a" * 1001, b"")])), "an entry is too long"),
    "a long value": (with_blocks(blocked([(b"a", b"1" * 10_001)])), "an entry is too long"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_ones(case: str) -> None:
    data, told = HOSTILE[case]
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        list(table.entries(data))


def test_many_blocks() -> None:
    """Each costs a checksum."""
    items = [(b"%04d" % number, b"") for number in range(1001)]
    assert list(table.entries(written(items[:-1], 1))) == items[:-1]
    with pytest.raises(ValueError, match=r"^an index of more than 1,000 blocks is none of a network$"):
        list(table.entries(written(items, 1)))


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=3))
def test_any_blocks_of_right_checksums(blocks: list[bytes]) -> None:
    try:
        found = list(table.entries(with_blocks(*blocks)))
    except ValueError:
        return
    assert found == sorted(found)


@given(st.binary(max_size=100))
def test_any_end(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"it has|a number|a block|the checksum"):
        list(table.entries(data + MAGIC))
