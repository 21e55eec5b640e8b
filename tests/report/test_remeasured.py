"""Numbers that stand once and are shown twice: the paper's from another report's row, somebody's own from a weights file."""

from __future__ import annotations

from pathlib import Path

import pytest

from simclr_spec.core.errors import SpecError
from simclr_spec.language.report import load
from simclr_spec.report.select import validate
from simclr_spec.report.table import make
from simclr_spec.store.layout import Store
from tests.reports import everything, write
from tests.typed import run

WEIGHTS = """title = "W"
layout = "separius"
remeasured_by = "a neighbour, yesterday"
networks = [{ depth = 50 }, { depth = 50, width = 2 }]
[sets.tuned]
made_by = "finetune"
file = "r{depth}_{width}x.pth"
classes = 1000
remeasured = [55.5, 66.6]
[sets.other]
made_by = "pretrain"
file = "p{depth}_{width}x.pth"
"""
SPEC = """title = "S"
recipe = "simclrv2"
encoders = [{ depth = 50 }, { depth = 50, width = 2 }]
[stages.tuned]
kind = "import"
weights = "w.toml"
set = "tuned"
[stages.test]
kind = "evaluate"
from = "tuned"
"""
THEIRS = """title = "T"
spec = "s.toml"
source = "a paper, Table 1"
columns = [{ title = "top-1", where = { stage = "test" } }, { title = "top-5", where = { stage = "test" }, metric = "top5" }]
rows = [
  { title = "small", where = { width = 1 }, paper = [44.4, "open"] },
  { title = "large", where = { width = 2 }, paper = [45.5, 90.0], source = "a thesis" },
]
"""
OURS = """title = "O"
spec = "s.toml"
tolerance = 0.2
columns = [
  { title = "top-1", where = { stage = "test" } },
  { title = "again", remeasured = "w.toml/tuned" },
]
rows = [
  { title = "50 1×", where = { depth = 50, width = 1, sk = false }, paper_from = "theirs.toml/small" },
  { title = "50 2×", where = { depth = 50, width = 2, sk = false } },
]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> None:
    for name, text in (("w.toml", WEIGHTS), ("s.toml", SPEC), ("theirs.toml", THEIRS)):
        (tmp_path / name).write_text(text, encoding="utf-8")


def test_the_papers_number_and_its_source_are_those_of_the_other_reports_row(tmp_path: Path, store: Store) -> None:
    cells = {cell.address: cell for cell in make(write(tmp_path, OURS), store).cells}
    assert (cells["50-1x/top-1"].paper, cells["50-1x/top-1"].source) == (44.4, "a paper, Table 1")
    assert not cells["50-1x/top-1"].elsewhere
    assert cells["50-2x/top-1"].paper is None


def test_what_is_open_there_is_open_here(tmp_path: Path, store: Store) -> None:
    text = OURS.replace(
        '{ title = "again", remeasured = "w.toml/tuned" }', '{ title = "top-5", metric = "top5", where = { stage = "test" } }'
    )
    cells = {cell.address: cell for cell in make(write(tmp_path, text), store).cells}
    assert cells["50-1x/top-5"].open


def test_a_neighbours_numbers_are_adopted_ones_with_their_owner_in_every_format(tmp_path: Path, store: Store) -> None:
    table = make(write(tmp_path, OURS), store)
    cells = {cell.address: cell for cell in table.cells}
    assert [cells[f"{row}/again"].adopted for row in ("50-1x", "50-2x")] == [55.5, 66.6]
    assert [cells[f"{row}/again"].steps for row in ("50-1x", "50-2x")] == [(), ()]
    for form, text in everything(table).items():
        assert "55.5" in text, form
        assert "a neighbour, yesterday" in text, form


def test_off_the_papers_scale_neither_stands_anywhere(tmp_path: Path, store: Store) -> None:
    table = make(write(tmp_path, OURS), store, sets=("test_images=500",))
    assert [column.title for column in table.report.columns] == ["top-1"]
    for form, text in everything(table).items():
        assert not any(number in text for number in ("44.4", "55.5", "66.6", "neighbour", "a paper, Table 1")), form


def test_a_selection_keeps_them_and_no_cell_asks_for_a_run_of_them(tmp_path: Path, store: Store) -> None:
    name = write(tmp_path, OURS)
    shown = run("report", name, "width=2", "--format", "json").stdout
    assert "66.6" in shown
    assert "55.5" not in shown
    said = run("plan", "--cell", f"{name}/50-1x/again")
    assert (said.exit_code, said.output) == (
        2,
        f"nothing must run for what stands there; `simclr-spec report {name}` shows it\n",
    )


PAPERS = "no row of the report 'theirs.toml' with values of the paper is named"
LENT = "is that of theirs.toml/small (paper_from): leave it out here"
STEPS = "where = { depth = 50, width = 1, sk = false }, paper_from"


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("theirs.toml/small", "theirs.toml/smal", f"9:82: {PAPERS} 'smal'; did you mean 'small'?"),
        ("theirs.toml/small", "theirs.toml/large", f"9:82: {PAPERS} 'large'"),
        ("theirs.toml/small", "small", "9:82: 'small' is no row: name REPORT/ROW, as in table3/simclr-r50-4x"),
        ("theirs.toml/small", "tabel1/small", "9:82: no report is named 'tabel1'; did you mean 'table1'?"),
        ('"top-1", where', '"top1", where', "9:82: theirs.toml/small has no column 'top1'; did you mean 'top-1'?"),
        ('l/small" },', 'l/small", paper = [1, 2] },', f"9:111: 'paper' {LENT}"),
        ('l/small" },', 'l/small", source = "S" },', f"9:112: 'source' {LENT}"),
        (
            STEPS,
            'adopted = [1, 2], source = "S", paper_from',
            "9:67: an adopted row has no values of ours to compare with the paper's",
        ),
        ("w.toml/tuned", "w.toml/tund", "6:35: w.toml has no set 'tund'; did you mean 'tuned'?"),
        ("w.toml/tuned", "w.toml/other", "6:35: nobody re-measured w.toml/other"),
        ("w.toml/tuned", "simclrv2/distill_1pct", "6:35: nobody re-measured simclrv2/distill_1pct"),
        ("w.toml/tuned", "tuned", "6:35: 'tuned' is no set: name WEIGHTS/SET, as in simclrv2/pretrained"),
        ("w.toml/tuned", "simclrv1/tuned", "6:35: no weights file is named 'simclrv1'; did you mean 'simclrv2'?"),
        (
            '"again",',
            '"again", where = { width = 1 },',
            "6:58: re-measured numbers stand in place of Steps: leave out this column's `where`",
        ),
        ("width = 2, sk = false }", "width = 2 }", "10:30: w.toml/tuned has no network with depth=50 width=2 sk=none"),
    ],
)
def test_what_cannot_be_taken_is_told_with_its_place(old: str, new: str, fault: str, tmp_path: Path) -> None:
    assert old in OURS
    name = write(tmp_path, OURS.replace(old, new))
    with pytest.raises(SpecError) as caught:
        validate(name)
    told = str(caught.value).replace(f"{tmp_path}/", "").splitlines()
    assert f"mine.toml:{fault}" in told, told


def test_the_report_in_json_takes_them_too(tmp_path: Path) -> None:
    row = load(write(tmp_path, OURS))[0].rows[0]
    assert (row.paper, row.paper_from, row.source) == ((44.4, None), "theirs.toml/small", "a paper, Table 1")
