"""Checksums against published ones, and against the definition, bit by bit."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simclr_spec.data.bundle import crc32c as module
from simclr_spec.data.bundle.crc32c import crc32c, masked

READ_COMMAND = bytes.fromhex(
    "01c00000" + "00" * 12 + "14000000" + "00000400" + "00000014" + "00000018" + "28000000" + "00" * 4 + "02000000" + "00" * 4
)


def slowly(data: bytes) -> int:
    register = 0xFFFFFFFF
    for octet in data:
        register ^= octet
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(reversed(range(32))), 0x113FDB5C),
        (READ_COMMAND, 0xD9963A56),
        (b"123456789", 0xE3069283),
        (b"", 0),
    ],
)
def test_published_ones(data: bytes, crc: int) -> None:
    """RFC 3720 B.4, and the check value of the CRC catalogue."""
    assert crc32c(data) == slowly(data) == crc


@pytest.mark.parametrize("length", range(301))
def test_every_short_length(length: int) -> None:
    data = np.random.default_rng(length).bytes(length)
    assert crc32c(data) == slowly(data)


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    assert crc32c(data) == crc32c(memoryview(data)) == crc32c(np.frombuffer(data, np.uint8)) == slowly(data)


@pytest.mark.parametrize("length", [65_532, 65_536, 65_537, 131_069, 200_001])
def test_long_ones(length: int) -> None:
    """Around one and two rows of all lanes."""
    data = np.random.default_rng(length).bytes(length)
    assert crc32c(data) == slowly(data)


def test_all_shapes_of_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.random.default_rng(0).bytes(1001)
    for lanes in (1, 2, 8, 64):
        monkeypatch.setattr(module, "_LANES", lanes)
        assert crc32c(data) == slowly(data)


def test_memory_does_not_grow_with_the_data() -> None:
    data = np.zeros(30_000_000, np.uint8)
    crc32c(data[:1000])
    tracemalloc.start()
    crc32c(data)
    assert tracemalloc.get_traced_memory()[1] < 3_000_000
    tracemalloc.stop()


def test_the_mask() -> None:
    """Leveldb's own test: it can be told from what it masks, and be masked again."""
    crc = crc32c(b"foo")
    assert masked(crc) == ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32
    assert len({crc, masked(crc), masked(masked(crc))}) == 3
