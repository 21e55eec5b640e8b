"""Names and numbers as people read them."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from simclr_spec.core import words


def test_names_are_shown_on_one_line_and_bytes_that_are_no_text_are_escaped() -> None:
    assert words.shown(Path("Äste/ein Blatt.png")) == "Äste/ein Blatt.png"
    assert words.shown("ä\nb\0") == r"ä\nb\x00"
    assert words.shown(os.fsdecode(b"\xff.png")) == r"\udcff.png"


def test_names_are_alike_in_any_case_and_any_encoding_of_accents() -> None:
    assert words.alike("Ängström") == words.alike(unicodedata.normalize("NFD", "ÄNGSTRÖM"))
    assert words.alike("ape") != words.alike("bat")


def test_numbers_have_their_nouns() -> None:
    assert [words.counted(n, "Step") for n in (0, 1, 1437)] == ["0 Steps", "1 Step", "1,437 Steps"]
    assert words.counted(2, "class") == "2 classes"


@pytest.mark.parametrize(
    ("number", "told"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (9940, "9.9 kB"), (12_300, "12 kB"), (3.4e9, "3.4 GB"), (25e12, "25 TB"),
     (3e15, "3000 TB")],
)  # fmt: skip
def test_sizes_have_decimal_units(number: float, told: str) -> None:
    assert words.size(number) == told


@pytest.mark.parametrize(
    ("value", "typed", "plain", "written", "quoted", "footnote"),
    [
        (None, "none", "none", "none", "null", "none"),
        (True, "true", "true", "true", "true", "on"),
        (False, "false", "false", "false", "false", "off"),
        (3, "3", "3", "3", "3", "3"),
        (20_000, "20000", "20000", "20000", "20000", "20,000"),
        (1.0, "1.0", "1", "1", "1.0", "1"),
        (0.123456789, "0.123456789", "0.123456789", "0.123456789", "0.123456789", "0.1235"),
        (2e-05, "2e-05", "2e-05", "2e-05", "2e-05", "2e-05"),
        ("", "", "none", "''", "''", "none"),
        ("cosine", "cosine", "cosine", "'cosine'", "'cosine'", "cosine"),
        ("0123456789abcdef0", *["0123456789abcdef0"] * 2, *["'0123456789abcdef0'"] * 2, "01234567…"),
        ([50, 101], "50,101", "[50, 101]", "[50, 101]", "a list", "[50, 101]"),
    ],
)
def test_a_value_has_five_forms_each_for_its_reader(
    value: object, typed: str, plain: str, written: str, quoted: str, footnote: str
) -> None:
    forms = (words.typed, words.plain, words.written, words.quoted, words.footnote)
    assert tuple(form(value) for form in forms) == (typed, plain, written, quoted, footnote)


@pytest.mark.parametrize(
    ("value", "digits", "told"),
    [(0.01, 6, "0.01"), (33.333333, 6, "33.3333"), (0.449321, 4, "0.4493"), (12_345.6, 4, "12,346"), (5.6, 2, "5.6"),
     (42.4, 2, "42"), (1e6, 6, "1,000,000"), (1e99, 6, "1e+99"), (float("nan"), 6, "nan")],
)  # fmt: skip
def test_numbers_have_the_digits_that_matter(value: float, digits: int, told: str) -> None:
    assert words.number(value, digits) == told
    assert [words.amount(n) for n in (0, 0.5, 66.84, 4299.2)] == ["0", "0.50", "66.8", "4,299"]
    assert words.scientific(3.21e18) == "3.21e+18"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (3600, "1 h 00 min"), (9661, "2 h 41 min")]
)
def test_durations(seconds: float, shown: str) -> None:
    assert words.duration(seconds) == shown


@pytest.mark.parametrize(("minutes", "shown"), [(1, "1 min"), (90, "1 h 30 min"), (1440, "24 h")])
def test_limits_of_whole_minutes(minutes: int, shown: str) -> None:
    assert words.span(minutes) == shown


def test_places_after_the_point_stay() -> None:
    assert [words.fixed(61.25, 0), words.fixed(61.0, 1), words.fixed(12345.678, 2)] == ["61", "61.0", "12,345.68"]
    assert [words.fixed(0.3, 1, sign=True), words.fixed(-0.3, 1, sign=True)] == ["+0.3", "-0.3"]
    assert words.percent(0.426) == "43%"
