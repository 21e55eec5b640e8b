"""Faults of reports that name others, and of figures that compare with what is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simclr_spec.core.errors import SpecError
from simclr_spec.report.select import validate
from tests.drawings import AT_PAPER_SCALE, SERIES, figure_of
from tests.reports import SMALL, write

TWICE = 'panels = [{ series = [{ title = "a", column = "1 %" }, { title = "a", column = "linear" }] }]\n'
BOTH = 'panels = [{ series = [{ title = "a", column = "1 %", rows = ["narrow"], where = { width = 1 } }] }]\n'
LEVEL = (
    'panels = [{ series = [{ title = "a", column = "1 %" }], level = { title = "l", row = "theirs", column = "linear" } }]\n'
)


@pytest.mark.parametrize(
    ("figure", "fault"),
    [
        (figure_of("bars", 'x = "size"'), "bars stand for rows: no column can be their `x`"),
        (figure_of("lines", "", TWICE), "title 'a' stands twice in this panel"),
        (figure_of("lines", "", BOTH), "a series has either `rows` or `where`"),
        (figure_of("lines", "", LEVEL), "row 'theirs' has no cell in column 'linear'"),
        (figure_of("lines", 'relative_to = "theirs"'), "row 'theirs' has no Steps that gains could be over"),
    ],
)
def test_a_figure_that_shows_or_compares_with_nothing_is_a_fault(figure: str, fault: str, tmp_path: Path) -> None:
    validate(write(tmp_path, AT_PAPER_SCALE + figure_of("lines", "", SERIES)))
    with pytest.raises(SpecError, match=rf"mine\.toml:\d+:\d+: {re.escape(fault)}$"):
        validate(write(tmp_path, AT_PAPER_SCALE + figure))


@pytest.mark.parametrize(
    ("other", "fault"),
    [
        (SMALL.partition("columns")[0] + 'rows = [{ title = "x", adopted = [1], source = "s" }]\n', "has faults of its own"),
        (AT_PAPER_SCALE.replace(', source = "S4L"', ""), "has faults of its own, first: "),
        (AT_PAPER_SCALE, "no row of the report"),
    ],
)
def test_a_row_is_adopted_from_a_sound_report_only(other: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(other, encoding="utf-8")
    name = write(tmp_path, AT_PAPER_SCALE.replace('adopted = [33.3], source = "S4L"', 'adopted_from = "other.toml/x"'))
    with pytest.raises(SpecError, match=rf"mine\.toml:\d+:\d+: .*{fault}"):
        validate(name)
    name = write(tmp_path, AT_PAPER_SCALE.replace('adopted = [33.3], source = "S4L"', 'adopted_from = "other"'))
    with pytest.raises(SpecError, match="'other' is no row: name REPORT/ROW, as in "):
        validate(name)


def test_reports_whose_numbers_are_taken_are_looked_through_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(AT_PAPER_SCALE.replace("[24, 50, 40]", "[24, 50]"), encoding="utf-8")
    name = write(tmp_path, AT_PAPER_SCALE.replace('source = "a test"', 'source = "a test"\npaper_of = ["other.toml"]'))
    with pytest.raises(SpecError, match=r"mine\.toml:\d+:\d+: .*other\.toml cannot be read: .*2 values, but"):
        validate(name)
