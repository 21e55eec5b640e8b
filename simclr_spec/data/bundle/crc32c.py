"""CRC-32C (Castagnoli, RFC 3720 B.4) in numpy, and the mask under which TensorFlow stores it.

Little-endian words are coefficients of a polynomial, and the checksum is what is left of it, modulo another one. Words are
summed in lanes, each row on the sum above it, shifted by a row; then lanes are folded in halves. A shift is linear, so a sum of
four look-ups, one for each byte.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]
_REFLECTED = np.uint32(0x82F63B78)
_LANES = 2**14
_START = b"Td\x1fd"
"""A register of zeros is all ones after these: so a checksum starts, and zeros before them change nothing."""


def crc32c(data: bytes | memoryview | NDArray[np.uint8]) -> int:
    octets = np.frombuffer(data, np.uint8)
    lanes = min(_LANES, 1 << (len(octets) // 4).bit_length())
    head = len(octets) % (4 * lanes)
    first = np.zeros(-(-(head + 4) // (4 * lanes)) * 4 * lanes, np.uint8)
    first[len(first) - head - 4 :] = np.concatenate([np.frombuffer(_START, np.uint8), octets[:head]])
    lane = np.zeros(lanes, np.uint32)
    for rows in (first, octets[head:]):
        for row in rows.view("<u4").reshape(-1, lanes):
            lane = _shifted(lane, lanes) ^ row
    while (half := len(lane) // 2) > 0:
        lane = _shifted(lane[:half], half) ^ lane[half:]
    return int(_shifted(lane, 1)[0]) ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """As TensorFlow stores it: a checksum of data that holds its own checksum would be a constant."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _shifted(words: Words, by: int) -> Words:
    """`by` words further from the end; a power of two."""
    tables = _tables(by)
    found: Words = tables[0][words & 255]
    for at in (1, 2, 3):
        found ^= tables[at][words >> 8 * at & 255]
    return found


@cache
def _tables(by: int) -> Words:
    """(4, 256): what becomes of each value of each byte, `by` words further."""
    if by > 1:
        return _shifted(_tables(by // 2), by // 2)
    table = np.arange(256, dtype=np.uint32) << np.arange(0, 32, 8, dtype=np.uint32)[:, None]
    one = np.uint32(1)
    for _ in range(32):
        table = table >> one ^ (table & one) * _REFLECTED
    return table
