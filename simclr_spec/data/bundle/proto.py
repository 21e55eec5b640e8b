"""As much of protobuf's wire format as TensorFlow's checkpoints need."""

from __future__ import annotations

from collections.abc import Iterator

Value = int | bytes
_FIXED = {1: 8, 5: 4}
"""Bytes of a wire type."""


def varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """Seven bits a byte, the lowest first: the number, and where it ends. Raises ValueError."""
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            raise ValueError("a number is cut short")
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128 and value < 2**64:
            return value, at
    raise ValueError("a number has more than 64 bits")


def fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Number and value of each field, in the order in which they stand; messages and text as bytes. Raises ValueError."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        wire = tag & 7
        if wire == 0:
            value, at = varint(data, at)
            yield tag >> 3, value
            continue
        if wire == 2:
            length, at = varint(data, at)
        elif wire in _FIXED:
            length = _FIXED[wire]
        else:
            raise ValueError(f"a field is of the unknown type {wire}")
        if at + length > len(data):
            raise ValueError("a field is cut short")
        inside, at = data[at : at + length], at + length
        yield tag >> 3, inside if wire == 2 else int.from_bytes(inside, "little")


def record(data: bytes) -> dict[int, Value]:
    """Fields 1 to 15, of a repeated one the last value: none of those that are needed has another number. Raises ValueError."""
    return {field: value for field, value in fields(data) if field < 16}


def number(message: dict[int, Value], field: int) -> int:
    """Without a sign; 0 where it is absent. Raises ValueError."""
    value = message.get(field, 0)
    if isinstance(value, bytes):
        raise ValueError(f"field {field} is no number")
    return value


def inside(message: dict[int, Value], field: int) -> bytes:
    """A message or text; empty where it is absent. Raises ValueError."""
    value = message.get(field, b"")
    if isinstance(value, int):
        raise ValueError(f"field {field} is a number")
    return value


def each(data: bytes, field: int) -> Iterator[bytes]:
    """A repeated message or text. Raises ValueError."""
    return (inside({field: value}, field) for found, value in fields(data) if found == field)
