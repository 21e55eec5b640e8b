"""Verdicts: at the paper's scale each cell of a training is held against the declared margin, counts against their rounding."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from simclr_spec.plan import compile
from simclr_spec.report.figures.drawn import svg
from simclr_spec.report.formats.registry import render
from simclr_spec.report.table import Table, make
from simclr_spec.store.layout import Store
from tests.finished import finish, finish_all
from tests.reports import everything, of, write
from tests.typed import run

SPEC = """
title = "Supervised"
recipe = "simclrv2"
seeds = [0, 1, 2, 3, 4]
[[encoders]]
depth = 50
[stages.supervised]
kind = "supervised"
"""
REPORT = """
title = "Supervised"
spec = "spec.toml"
source = "the paper"
margin = 0.5
tolerance = 0.2
columns = [{ title = "Param (M)", metric = "parameters" }, { title = "top-1" }]
rows = [{ title = "50 1×", where = { stage = "supervised" }, paper = [24, 76.6] }]
"""
CHANGED = ("micro_batch=512",)


def _table(folder: Path, values: Sequence[float], report: str = REPORT, sets: tuple[str, ...] = ()) -> Table:
    """With a seed for each of the values, and its result."""
    spec = folder / "spec.toml"
    spec.write_text(SPEC.replace("[0, 1, 2, 3, 4]", str(list(range(len(values))))), encoding="utf-8")
    store = Store(folder / "store")
    for step, top1 in zip(compile([str(spec)], sets=sets).steps, values, strict=True):
        finish(store, step, {"top1": top1})
    return make(write(folder, report), store, "paper", sets)


def _by_scipy(values: Sequence[float], paper: float, margin: float) -> str:
    """Two one-sided t-tests at 5 %: both for equivalence, either for a difference."""

    def p(bound: float, side: str) -> float:
        return float(stats.ttest_1samp(values, paper + bound, alternative=side).pvalue)

    if p(-margin, "greater") <= 0.05 and p(margin, "less") <= 0.05:
        return "match"
    return "off" if min(p(margin, "greater"), p(-margin, "less")) < 0.05 else "undecided"


FEW = [76.5, 76.7]
CLOSE = [76.5, 76.7, 76.6, 76.8]
SPREADS = (0.02, 0.2, 0.35, 0.6)
SHIFTS = (0.0, -0.3, 0.45, 0.6, -2.0)


def test_trainings_are_judged_by_two_one_sided_tests(tmp_path: Path) -> None:
    cell, seen = _table(tmp_path, CLOSE).cells[1], set()
    for shift, spread in itertools.product(SHIFTS, SPREADS):
        numbers = [76.6 + shift + spread * of for of in (-1.3, -0.2, 0.5, 1.0)]
        values = tuple(replace(value, number=number) for value, number in zip(cell.values, numbers, strict=True))
        verdict = replace(cell, values=values).verdict
        assert verdict == _by_scipy(numbers, 76.6, 0.5), (shift, spread)
        seen.add(verdict)
    assert seen == {"match", "off", "undecided"}


@pytest.mark.parametrize(
    ("values", "verdict"), [([76.6], "unjudged"), ([12.0], "unjudged"), (FEW, "undecided"), (CLOSE, "match")]
)
def test_seeds_bring_certainty_and_one_is_none(values: list[float], verdict: str, tmp_path: Path) -> None:
    cell = _table(tmp_path, values).cells[1]
    assert cell.verdict == verdict
    assert replace(cell, paper=None).verdict is None


def test_without_a_margin_no_training_is_judged(tmp_path: Path) -> None:
    """The tolerance is for weights that were trained elsewhere: tests/stages/test_another_kind.py."""
    without = REPORT.replace("margin = 0.5\n", "")
    table = _table(tmp_path, CLOSE, without)
    assert table.cells[1].verdict == "unjudged"
    assert "Judged       counts: as the paper rounds them · trainings: not, the report declares no margin\n" in render(
        "table", table
    )


def test_a_part_of_the_seeds_is_missing_however_near(tmp_path: Path) -> None:
    table = _table(tmp_path, CLOSE)
    (last := Store(tmp_path / "store").folder(table.plan.steps[-1].id)).result.unlink()
    assert last.path.is_dir()
    table = make(table.name, Store(tmp_path / "store"), "paper")
    assert (table.cells[1].verdict, table.is_off) == ("missing", True)


def test_a_changed_run_never_matches_and_counts_stay(tmp_path: Path) -> None:
    table = _table(tmp_path, CLOSE, sets=CHANGED)
    assert (table.at_paper_scale, [cell.verdict for cell in table.cells]) == (True, ["match", "deviates"])
    assert table.subtitle[0] == "the paper's recipe, CHANGED (see the deviations)"
    assert "micro_batch 512≠none" in render("table", table)
    far = _table(tmp_path, [value + 3 for value in CLOSE], sets=("micro_batch=256",))
    assert far.cells[1].verdict == "off"


@pytest.mark.parametrize(("paper", "verdict"), [(24, "match"), (23.1, "match"), (23, "off"), (25, "off")])
def test_counts_match_what_they_round_to_and_need_no_run(paper: float, verdict: str, tmp_path: Path) -> None:
    """23.56 million."""
    (tmp_path / "spec.toml").write_text(SPEC, encoding="utf-8")
    table = make(write(tmp_path, REPORT.replace("[24", f"[{paper}")), Store(tmp_path / "store"))
    assert (table.cells[0].verdict, table.cells[1].verdict) == (verdict, "missing")


def test_what_the_rules_are_stands_below(tmp_path: Path) -> None:
    for form, text in everything(_table(tmp_path, CLOSE)).items():
        plain = " ".join(text.replace("\\", "").replace("$pm$", "±").split())
        assert "equivalent within ±0.5 by two one-sided t-tests at 5% over seeds; one seed is unjudged" in plain, form


@pytest.mark.parametrize(
    ("values", "sets", "code"),
    [
        (CLOSE, (), 0),
        ([76.6], (), 0),
        (FEW, (), 0),
        ([12.0, 12.1, 12.2], (), 1),
        (CLOSE, CHANGED, 1),
    ],
    ids=["match", "unjudged", "undecided", "off", "deviates"],
)
def test_strict_fails_for_what_is_off_deviates_or_is_missing(
    values: list[float], sets: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    table = _table(tmp_path, values, sets=sets)
    options = ["--scale", "paper", "--store", str(tmp_path / "store"), *(word for text in sets for word in ("--set", text))]
    assert run("report", table.name, *options, "--strict").exit_code == code
    assert run("report", table.name, *options).exit_code == 0
    Store(tmp_path / "store").folder(table.plan.steps[0].id).result.unlink()
    assert run("report", table.name, *options, "--strict").exit_code == 1


# What stands beside ours at the paper's scale only

BESIDE = REPORT.replace(
    "rows = [",
    'rows = [\n  { title = "theirs", adopted = ["none", 12.3], source = "S4L" },\n'
    '  { title = "another", adopted = [11, 23.4], source = "UDA" },',
).replace("76.6]", '"open"]')


def test_open_values_and_adopted_ones_are_shown_as_that(tmp_path: Path) -> None:
    table = _table(tmp_path, CLOSE, BESIDE)
    text = render("table", table)
    assert "76.7 ± 0.1 (4)\n" in text
    assert "paper open\n" in text
    assert "12.3†\n" in text
    assert "Sources      the paper · † adopted from S4L; UDA\n" in text
    cells = json.loads(render("json", table))["cells"]
    assert [cell["paper"] for cell in cells] == [None, None, None, None, 24, "open"]
    assert [cell["adopted"] for cell in cells] == [None, 12.3, 11, 23.4, None, None]
    assert [cell["source"] for cell in cells] == [None, "S4L", "UDA", "UDA", "the paper", "the paper"]
    assert [cell["state"] for cell in cells] == ["none", "adopted", "adopted", "adopted", "planned", "done"]
    assert table.cells[-1].verdict is None
    for form, shown in everything(table).items():
        assert "open" in shown, form
        assert "12.3" in shown, form


ELSEWHERE = (
    REPORT.replace("paper = [24, 76.6]", 'paper = ["open", 76.6], source = "issue 77"')
    + """
[[figures]]
title = "One"
kind = "bars"
[[figures.panels]]
series = [{ title = "top-1", column = "top-1" }]
"""
)


def test_a_number_that_is_not_the_papers_is_never_told_as_one_and_judges_nothing(tmp_path: Path) -> None:
    table = _table(tmp_path, [12.0, 12.1, 12.2], ELSEWHERE)  # far off
    unknown, other = table.cells
    assert (unknown.open, unknown.elsewhere, unknown.source) == (True, False, "the paper")
    assert (other.elsewhere, other.verdict, other.source, table.is_off) == (True, "unjudged", "issue 77", False)
    for form, shown in everything(table).items():
        assert "paper 76.6" not in shown, form
        assert "elsewhere" in shown, form
    assert "elsewhere 76.6, -64.5 unjudged" in render("table", table)
    assert "the paper · elsewhere, not the paper's: 50 1×: issue 77\n" in render("table", table)
    assert "beside numbers from elsewhere: not" in render("table", table)
    cells = json.loads(render("json", table))["cells"]
    assert [(cell["paper"], cell["elsewhere"]) for cell in cells] == [("open", None), (None, 76.6)]
    picture = svg(table, table.report.figures[0])
    assert "from elsewhere (hollow)" in picture
    assert "elsewhere 76.6" in picture
    assert "the paper's (hollow)" not in picture
    assert "<td>elsewhere 76.6</td>" in render("html", table)


def test_a_borrowed_number_from_elsewhere_stays_one(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(ELSEWHERE, encoding="utf-8")
    borrowing = REPORT.replace(", paper = [24, 76.6]", "").replace("margin", 'paper_of = ["other.toml"]\nmargin')
    unknown, other = _table(tmp_path, CLOSE, borrowing).cells
    assert (unknown.open, unknown.source) == (True, "the paper")
    assert (other.paper, other.elsewhere, other.verdict) == (76.6, True, "unjudged")


def test_off_the_papers_scale_nothing_of_it_stands_in_any_format(tmp_path: Path) -> None:
    table = _table(tmp_path, CLOSE, BESIDE, sets=("epochs=1",))
    assert (table.at_paper_scale, len(table.rows)) == (False, 1)
    for form, shown in everything(table).items():
        for word in ("paper open", '"open"', "12.3", "23.4", "theirs", "S4L", "Judged", "Sources", "†", "dagger"):
            assert word not in shown, (form, word)


def test_table_1_finished_with_its_own_numbers_is_unjudged_at_one_seed(store: Store) -> None:
    finish_all(store, compile(["table1"]), 50)
    one = of(compile(["table1"]), stage="finetune", depth=50, width=1, sk=False, label_fraction=0.01)[0]
    table = make("table1", store)
    (cell,) = (cell for cell in table.cells if cell.metric == "top1" and [step.id for step in cell.steps] == [one.id])
    assert (cell.paper, cell.verdict) == (57.9, "unjudged")
    assert cell.delta == pytest.approx(-7.9)
    assert "50.0 (1)" in render("table", table)
    assert "paper 57.9, -7.9 unjudged" in render("table", table)
