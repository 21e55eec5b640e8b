"""Protobuf's wire format: the examples of its documentation, and what is malformed."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simclr_spec.data.bundle import proto
from tests.data.bundle import writing


def test_the_documented_examples() -> None:
    assert list(proto.fields(bytes.fromhex("089601"))) == [(1, 150)]
    assert list(proto.fields(bytes.fromhex("120774657374696e67"))) == [(2, b"testing")]
    assert list(proto.each(bytes.fromhex("1a03089601"), 3)) == [bytes.fromhex("089601")]
    assert list(proto.fields(b"\x35\x01\x02\x00\x00\x39" + bytes(7) + b"\x01")) == [(6, 0x201), (7, 2**56)]


@given(st.integers(0, 2**64 - 1))
def test_numbers(number: int) -> None:
    assert proto.varint(writing.varint(number), 0) == (number, len(writing.varint(number)))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\x80", "a number is cut short"),
        (b"\x08\xff", "a number is cut short"),
        (b"\xff" * 9 + b"\x02", "a number has more than 64 bits"),
        (b"\xff" * 11, "a number has more than 64 bits"),
        (b"\x12\x05abc", "a field is cut short"),
        (b"\x12" + b"\xff" * 8 + b"\x7f", "a field is cut short"),
        (b"\x35\x01", "a field is cut short"),
        (b"\x0b", "a field is of the unknown type 3"),
        (b"\x0f", "a field is of the unknown type 7"),
    ],
)
def test_malformed_ones(data: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=f"^{told}$"):
        list(proto.fields(data))


def test_fields_of_another_kind() -> None:
    message = proto.record(writing.field(1, 5) + writing.field(2, b"text") + writing.field(99, 1))
    assert message == {1: 5, 2: b"text"}
    with pytest.raises(ValueError, match="field 2 is no number"):
        proto.number(message, 2)
    with pytest.raises(ValueError, match="field 1 is a number"):
        proto.inside(message, 1)
    assert (proto.number(message, 7), proto.inside(message, 7)) == (0, b"")


@given(st.binary(max_size=40))
def test_any_bytes(data: bytes) -> None:
    """Numbers that can be written again, or a sentence."""
    with contextlib.suppress(ValueError):
        for field, value in proto.fields(data):
            assert list(proto.fields(writing.field(field, value))) in ([(field, value)], [])
