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
