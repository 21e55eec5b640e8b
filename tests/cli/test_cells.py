"""`plan` and `run` of cells and of reports, and of all tables and figures together."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from simclr_spec.language import declared
from simclr_spec.plan import compile
from simclr_spec.report.addresses import cells_of, of_the_paper, parse, served, specs_of
from simclr_spec.store.layout import Store
from tests.finished import finish
from tests.reports import SMALL, of, write
from tests.typed import run


def _planned(*words: str) -> list[str]:
    """Ids of the Steps that would run."""
    return [step["id"] for step in json.loads(run("plan", *words, "--format", "json").stdout)["steps"]]


@pytest.mark.usefixtures("store")
def test_a_cell_runs_just_what_it_needs() -> None:
    (chosen,) = _planned("--cell", "table1/50-1x-sk/finetune/0.01")
    assert chosen.startswith("finetune/r50-1x-sk-imagenet-1pct-s0-")
    lines = run("plan", "--cell", "table1/50-1x-sk/finetune/0.01").stdout.splitlines()
    assert [line.split()[:2] for line in lines[2:4]] == [["finetune", "1"], ["needed:", "pretrain"]]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("address", "steps"), [("table1/50-1x", 6), ("table1/50-1x/linear", 1), ("table1", 78), ("figure3", 13)]
)
def test_an_address_is_a_cell_a_row_or_a_report(address: str, steps: int) -> None:
    assert len(_planned("--cell", address)) == steps


@pytest.mark.usefixtures("store")
def test_cells_add_up_and_a_selector_narrows_them() -> None:
    cells = ("--cell", "table1/50-1x", "--cell", "table1/50-2x")
    assert len(_planned(*cells)) == 12
    assert len(_planned(*cells, "stage=finetune", "width=2")) == 3
    assert len(_planned("quickstart", "--cell", "table1/50-1x", "--machine", "cpu")) == len(compile(["quickstart"]).steps) + 6


def test_a_report_of_ones_own_may_be_a_path(tmp_path: Path, store: Store) -> None:
    name = write(tmp_path, SMALL)
    assert parse(f"{name}/tuned/all").row == "tuned"
    chosen = _planned("--cell", f"{name}/tuned/all")
    assert chosen
    assert all(step.startswith("finetune/r18-1x-digits-100pct-s") for step in chosen)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--cell", "table1/51-1x"), "table1 has no row '51-1x'; did you mean '50-1x'?\n"),
        (("--cell", "table1/50-1x/lniear"), "table1 has no column 'lniear'; did you mean 'linear'?\n"),
        (
            ("--cell", "table1/50-1x/parameters"),
            "nothing must run for what stands there; `simclr-spec report table1` shows it\n",
        ),
        (("--cell", "figure3/x"), "figure3 has no rows: it is a diagram of its plan, so name figure3 alone\n"),
        (("--cell", "tabel1"), "no report is named 'tabel1'; did you mean 'table1'?\n"),
        (("--cell", "table1//linear"), "--cell wants REPORT/ROW/COLUMN, or the beginning of that, not 'table1//linear'\n"),
        (("--cell", ""), "--cell wants REPORT/ROW/COLUMN, or the beginning of that, not ''\n"),
        (("--all", "table1"), "--all is every table and figure of the paper: name no spec, report or cell beside it\n"),
    ],
)
@pytest.mark.usefixtures("store")
def test_what_is_not_there_is_told(words: tuple[str, ...], sentence: str) -> None:
    done = run("plan", *words)
    assert (done.exit_code, done.stderr) == (2, sentence)


def test_a_cell_is_run_and_is_all_that_is_done(store: Store) -> None:
    done = run("run", "--cell", "quickstart/supervised-small/1-per-class", "--set", "epochs=0.1")
    assert done.exit_code == 0, done.output
    assert run("status").stdout.splitlines()[-1].split() == ["supervised", "6", "6"]


def test_all_is_one_plan_in_which_every_step_serves_some_cell() -> None:
    plan = compile(specs_of(of_the_paper()))
    counts = served(plan, of_the_paper())
    assert [step.id for step, cells in counts.items() if not cells] == []
    assert len({step.fingerprint for step in plan.steps}) == len(plan.steps) < plan.asked
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert f"all of them are {len(plan.steps)} Steps" in readme


def test_cells_that_a_step_serves_are_counted_through_what_needs_it() -> None:
    plan = compile("table1")
    counts = served(plan, ["table1"])
    cells = [*cells_of("table1", None, ())]
    alone = Counter(step.fingerprint for cell in cells for step in cell.steps)
    for step, count in counts.items():
        assert count == alone[step.fingerprint] + sum(alone[child] for child in plan.children[step.fingerprint])
    assert counts[plan.steps[0]] == 5, "three fine-tunings, linear evaluation, and the classifier beside it"


@pytest.mark.usefixtures("store")
def test_a_diagram_is_planned_by_name_as_all_steps_of_its_specs() -> None:
    assert sorted(_planned("figure3")) == sorted(_planned("table3"))
    assert run("status", "figure3").exit_code == 0


@pytest.mark.usefixtures("store")
def test_all_tells_once_what_it_is_worth_to_share() -> None:
    lines = run("plan", "--all").stdout.splitlines()
    assert any(line.startswith("a Step serves ") for line in lines)
    assert [line for line in lines if " times as much" in line] == lines[-1:]


@pytest.mark.usefixtures("store")
def test_of_a_selection_just_that_is_worth_something() -> None:
    lines = run("plan", "--all", "stage=supervised", "depth=152", "sk=true", "--steps").stdout.splitlines()
    told = run("plan", "--all", "stage=supervised", "depth=152", "sk=true").stdout.splitlines()
    served_by = sorted(int(line.split()[2]) for line in lines[1:])
    start = next(i for i, line in enumerate(told) if line.startswith("a Step serves "))
    assert told[start].startswith(f"a Step serves {served_by[0]} to {served_by[-1]} cells of ")
    assert all(" supervised/r152-" in line for line in told[start + 2 : -1])
    hours = sum(float(line.split()[1]) for line in lines[1:])
    assert float(told[-1].removeprefix("one plan costs ").split()[0].replace(",", "")) == pytest.approx(hours, rel=0.02)
    listed = run("plan", "--all", "--steps").stdout.splitlines()
    assert listed[0].split()[:3] == ["state", "GPU-hours", "cells"]


def test_status_knows_reports_by_name(store: Store) -> None:
    for name in declared.names("report"):
        if name not in declared.names("spec"):
            assert run("status", name, "--scale", "digits").exit_code in (0, 2), name
    finish(store, of(compile("table1", scale="digits"), kind="supervised")[0], {"top1": 1.0})
    assert run("status", "table1", "--scale", "digits").stdout.splitlines()[-1].split() == ["total", "78", "1", "77"]


def test_explain_knows_cells_and_reports() -> None:
    one = run("explain", "--cell", "table1/50-1x/finetune/0.01", "learning_rate").stdout
    assert one.startswith("finetune/r50-1x-imagenet-1pct-s0-")
    assert "0.005  paper" in one
    assert run("explain", "figure1", "learning_rate").stdout.startswith("[stages.finetune] · finetune · 18 Steps")
