"""Cells of reports: each selects its Steps, and shows their numbers or their state."""

from __future__ import annotations

import io
import json
import re
import shlex
import time
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from simclr_spec.cli.main import main
from simclr_spec.core.errors import SpecError
from simclr_spec.language import declared
from simclr_spec.language import report as report_language
from simclr_spec.language.coordinates import parse
from simclr_spec.plan import compile
from simclr_spec.report import select
from simclr_spec.report.formats.registry import render
from simclr_spec.report.table import make
from simclr_spec.store.history import last_plan, record_plan
from simclr_spec.store.layout import Store
from tests.finished import FEW, fail, finish, finish_all
from tests.reports import OF_FILES, SMALL, elsewhere, of, write
from tests.typed import run


def _faults(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        make(write(tmp_path, text), Store(tmp_path / "runs"))
    return [str(fault).removeprefix(f"{tmp_path}/") for fault in caught.value.faults]


# Cells


@pytest.mark.parametrize("name", declared.names("report"))
@pytest.mark.parametrize("scale", [None, "digits", "cifar10"])
def test_every_cell_of_the_declared_reports_is_one_step_per_seed(name: str, scale: str | None) -> None:
    report, source = report_language.load(name)
    plan = compile(report.spec, **(elsewhere(name) if name == OF_FILES and scale else {"scale": scale}))
    for row in select.select(report, source, plan):
        for cell in (cell for cell in row if cell and cell.row.adopted is None and cell.adopted is None):
            assert cell.steps
            assert len({step.coordinates.get("seed") for step in cell.steps}) == len(cell.steps)
            assert len({(step.stage, step.coordinates["width"], step.coordinates["depth"]) for step in cell.steps}) == 1


def _large(rows: int) -> tuple[str, str]:
    """A spec of fifty Steps for each seed, and the report that shows each in a cell of its own."""
    spec = f"""
title = "Large"
recipe = "simclrv2"
scale = "digits"
encoders = [{{ depth = 18 }}]
[stages.supervised]
kind = "supervised"
seeds = {list(range(rows))}
labels_per_class = {list(range(1, 51))}
"""
    columns = "".join(f'[[columns]]\ntitle = "{k}"\nwhere = {{ labels_per_class = {k} }}\n' for k in range(1, 51))
    lines = "".join(f'[[rows]]\ntitle = "{k}"\nwhere = {{ seed = {k} }}\n' for k in range(rows))
    return spec, f'title = "Large"\nspec = "large.toml"\nmetric = "top1"\n{columns}{lines}'


def test_a_large_report_takes_seconds(tmp_path: Path, store: Store) -> None:
    spec, report = _large(200)
    (tmp_path / "large.toml").write_text(spec)
    begun = time.process_time()
    table = make(write(tmp_path, report), store)
    assert time.process_time() - begun < 20
    assert len(table.cells) == 10_000
    assert {len(cell.steps) for cell in table.cells} == {1}
    assert table.cells[-1].steps[0].label == "r18-1x-digits-50pc-s199"


def test_of_very_many_faults_a_hundred_are_told(tmp_path: Path) -> None:
    _, report = _large(200)
    (tmp_path / "large.toml").write_text(_large(1)[0])
    assert len(_faults(tmp_path, report)) == 100


def test_a_spec_that_does_not_exist_is_a_fault_with_its_place(tmp_path: Path) -> None:
    assert _faults(tmp_path, SMALL.replace(json.dumps(FEW), '"nope.toml"')) == [
        f"mine.toml:3:8: cannot read the spec '{tmp_path}/nope.toml': No such file or directory"
    ]
    assert _faults(tmp_path, SMALL.replace(json.dumps(FEW), '"tabel1"')) == [
        "mine.toml:3:8: no spec is named 'tabel1'; did you mean 'table1'?"
    ]


def test_table_1_shows_every_step_once() -> None:
    report, source = report_language.load("table1")
    plan = compile(report.spec)
    rows = select.select(report, source, plan)
    shown = [step.fingerprint for row in rows for cell in row if cell and not cell.planned for step in cell.steps]
    assert len(shown) == len(set(shown)) == 13 * 6
    assert set(shown) == plan.by_fingerprint.keys()


def test_a_cell_without_a_step_is_told_with_its_place_and_what_there_is(tmp_path: Path) -> None:
    faults = _faults(tmp_path, SMALL.replace('"supervised", width = 1', '"self_distill", width = 1'))
    assert faults == [
        "mine.toml:10:35: row 'supervised', column '1 per class': no Step has stage=self_distill width=1 labels_per_class=1; "
        "with the rest, stage is linear or finetune or supervised or distill",
        "mine.toml:10:35: row 'supervised', column 'all': no Step has stage=self_distill width=1 label_fraction=1.0; "
        "with the rest, stage is linear or finetune or supervised or distill",
    ]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('"supervised", width = 1', '"supervised", width = 3', "10:67: no Step has width=3; width is 1 or 2"),
        ("labels_per_class = 1", 'stage = "fintune"', "6:46: no Step has stage=fintune; did you mean 'finetune'?"),
        ('stage = "finetune"', 'stage = "fintune"', "11:40: no Step has stage=fintune; did you mean 'finetune'?"),
    ],
)
def test_a_coordinate_that_no_step_has_is_told_once_where_it_stands(old: str, new: str, fault: str, tmp_path: Path) -> None:
    assert _faults(tmp_path, SMALL.replace(old, new)) == [f"mine.toml:{fault}"]


def test_a_selector_leaves_only_its_steps_in_a_cell(store: Store, tmp_path: Path) -> None:
    file = write(tmp_path, SMALL)
    plan = compile([FEW])
    for seed, top1 in enumerate((10.0, 20.0, 30.0, 40.0)):
        (step,) = of(plan, stage="supervised", width=1, labels_per_class=1, seed=seed)
        finish(store, step, {"top1": top1})
    assert "  25.0 ± 12.9 (4)" in render("table", make(file, store))
    alone = render("table", make(file, store, selector=parse(["stage=supervised", "seed=0,1"])))
    assert "  15.0 ± 7.1 (2)" in alone
    assert "tuned" not in alone


def test_a_cell_of_two_kinds_of_steps_is_told_with_what_tells_them_apart(tmp_path: Path) -> None:
    faults = _faults(tmp_path, SMALL.replace('"supervised", width = 1', '"supervised"'))
    assert faults[0].startswith(
        "mine.toml:10:35: row 'supervised', column '1 per class': 8 Steps have stage=supervised labels_per_class=1; "
    )
    assert faults[0].endswith("they differ in width (1, 2): name it in the row or the column")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("stage = ", "stagee = ", "mine.toml:10:37: unknown key 'stagee'"),
        ('metric = "top1"', "metric = 1", "mine.toml:4:10: metric must be text"),
        (
            "width = 1 } },\n]",
            'width = 1 }, columns = ["al"] },\n]',
            "mine.toml:11:76: no column is titled 'al'; did you mean 'all'?",
        ),
        ("width = 1 } },\n]", "width = 1 }, paper = [1.0] },\n]", "mine.toml:11:73: 1 values, but this row has 2 cells"),
        (
            'title = "all"',
            'title = "1 per class"',
            "mine.toml:7:13: title '1 per class' stands twice; name each of the columns differently",
        ),
        (
            '{ stage = "finetune", width = 1 }',
            "{}, adopted = [1, 2]",
            "mine.toml:11:3: row 'tuned' needs either `where` or `adopted`",
        ),
        ('where = { stage = "finetune", width = 1 }', "adopted = [1, 2]", "mine.toml:11:32: adopted values need a `source`"),
    ],
)
def test_faults_of_the_language_have_a_place(tmp_path: Path, old: str, new: str, fault: str) -> None:
    assert any(told.startswith(fault) for told in _faults(tmp_path, SMALL.replace(old, new))), _faults(
        tmp_path, SMALL.replace(old, new)
    )


THEIRS = SMALL.replace("rows = [", 'rows = [\n  { title = "S4L", adopted = ["none", 73.2], source = "their paper" },')
"""A report to adopt values from."""


def _adopting(tmp_path: Path, row: str, name: str = "theirs.toml") -> str:
    (tmp_path / name).write_text(THEIRS, encoding="utf-8")
    return SMALL.replace("rows = [", f"rows = [\n  {row},")


def test_a_row_may_take_the_adopted_values_of_another_reports_row(tmp_path: Path) -> None:
    text = _adopting(tmp_path, '{ title = "best", adopted_from = "theirs.toml/s4l", columns = ["all"] }')
    row = report_language.load(write(tmp_path, text))[0].rows[0]
    assert (row.adopted, row.source) == ((73.2,), "their paper")


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ('"theirs.toml/s5l"', "no row of the report 'theirs.toml' with adopted values is named 's5l'; did you mean 's4l'?"),
        ('"theirs.toml/tuned"', "no row of the report 'theirs.toml' with adopted values is named 'tuned'"),
        ('"tabel1/s4l"', "no report is named 'tabel1'; did you mean 'table1'?"),
        (
            '"theirs.toml/s4l", source = "S4L", adopted = [1, 2]',
            "row 'S4L' needs either `where` or `adopted` or `adopted_from`",
        ),
        ('"theirs.toml/s4l", paper = [1, 2]', "an adopted row has no values of ours to compare with the paper's"),
    ],
)
def test_a_row_that_cannot_be_adopted_is_told_with_its_place(tmp_path: Path, row: str, fault: str) -> None:
    faults = _faults(tmp_path, _adopting(tmp_path, f'{{ title = "S4L", adopted_from = {row} }}'))
    assert [told.partition(": ")[2] for told in faults] == [fault]
    assert all(told.startswith("mine.toml:10:") for told in faults)


def test_a_column_that_the_adopted_row_does_not_have_is_a_fault(tmp_path: Path) -> None:
    text = _adopting(tmp_path, '{ title = "S4L", adopted_from = "theirs.toml/s4l" }').replace('title = "all"', 'title = "al"')
    assert _faults(tmp_path, text) == ["mine.toml:10:35: theirs.toml/s4l has no column 'al'; did you mean 'all'?"]


# Numbers and states


def test_mean_sample_sd_and_n_over_seeds_and_states_of_what_is_missing(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SIMCLR_SPEC_STORE")  # else commands need not name it
    plan = compile([FEW])
    for step, top1 in zip(of(plan, stage="supervised", width=1, labels_per_class=1), (50, 60, 70, 80), strict=True):
        finish(store, step, {"top1": top1})
    some = of(plan, stage="finetune", width=1, labels_per_class=1)
    finish(store, some[0], {"top1": 40})
    finish(store, some[1], {"top1": 42})
    fail(store, some[2])
    table = make(write(tmp_path, SMALL), store)
    supervised, nothing, tuned, _ = table.cells
    assert (supervised.mean, len(supervised.numbers)) == (65, 4)
    assert supervised.sd == pytest.approx(12.909944487358056)
    assert nothing.mean is None
    text = render("table", table)
    assert re.search(r"supervised +65\.0 ± 12\.9 \(4\) +–\n", text)
    assert re.search(r"tuned +41\.0 ± 1\.4 \(2 of 4, failed, new\) +–\n", text)
    assert re.search(r"Missing +9 new · 1 failed\n", text)
    assert tuned.sd == pytest.approx(2**0.5)
    store_option = f"--store {store.path}"
    commands = [f"simclr-spec logs {FEW} {store_option} state=failed", f"simclr-spec run {FEW} {store_option}"]
    assert next(note.items for note in table.notes if note.name == "Next") == tuple(commands)


def test_a_missing_result_is_a_state_and_never_a_number(tmp_path: Path, store: Store) -> None:
    table = make(write(tmp_path, SMALL), store)
    for cell in table.cells:
        assert (cell.mean, cell.sd, cell.delta, cell.verdict) == (None, None, None, None)
    data = pd.read_csv(io.StringIO(render("csv", table)))
    assert data[["mean", "sd", "paper", "delta"]].isna().all(axis=None)
    assert set(data["state"]) == {"new"}
    assert table.is_off, "--strict does not pass for want of results"


def test_what_waits_for_a_failed_step_is_new_and_the_failure_is_told(tmp_path: Path, store: Store) -> None:
    for step in of(compile([FEW]), stage="pretrain", width=1):
        fail(store, step)
    table = make(write(tmp_path, SMALL), store)
    assert {value.state for cell in table.cells for value in cell.values} == {"new"}
    assert any("state=failed" in item for note in table.notes if note.name == "Next" for item in note.items)


def test_a_metric_that_a_step_did_not_measure_is_missing(tmp_path: Path, store: Store) -> None:
    finish_all(store, compile([FEW]), 50)
    table = make(write(tmp_path, SMALL.replace('"top1"', '"train_top1"')), store)
    assert {value.state for cell in table.cells for value in cell.values} == {"no train_top1"}


def test_a_metric_that_no_step_of_a_cell_measures_is_a_fault(tmp_path: Path) -> None:
    assert _faults(tmp_path, SMALL.replace('"top1"', '"top_1"')) == [
        "mine.toml:4:10: finetune does not measure 'top_1'; did you mean 'top1'?",
        "mine.toml:4:10: supervised does not measure 'top_1'; did you mean 'top1'?",
    ]
    (fault, *_) = _faults(tmp_path, SMALL.replace('"all",', '"all", metric = "knn_top1",'))
    assert fault == "mine.toml:7:29: finetune does not measure 'knn_top1'; did you mean 'train_top1'?"


def test_a_path_of_a_spec_starts_in_the_folder_of_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "specs").mkdir()
    for file in Path(FEW).parent.iterdir():
        (tmp_path / "specs" / file.name).write_text(file.read_text())
    name = write(tmp_path, SMALL.replace(json.dumps(FEW), '"specs/few.toml"'))
    monkeypatch.chdir("/")
    select.validate(name)
    store = Store(tmp_path / "runs")
    record_plan(store, [str(tmp_path / "specs" / "few.toml")], None, ["pretrain.epochs=3"])
    assert make(name, store).plan.sets == ("pretrain.epochs=3",)


def test_in_latex_no_title_becomes_an_argument_of_the_line_before(tmp_path: Path, store: Store) -> None:
    text = SMALL.replace('"supervised", where', '"[a] supervised", where').replace('"tuned"', '"*tuned"')
    rows = render("latex", make(write(tmp_path, text), store)).splitlines()
    assert any(row.startswith("{[}a] supervised &") for row in rows)
    assert any(row.startswith("{*}tuned &") for row in rows)


def test_of_a_narrowed_report_only_what_it_shows_comes_next(tmp_path: Path, store: Store) -> None:
    table = make(write(tmp_path, SMALL), store, selector=parse(["width=1"]))
    (command,) = next(note.items for note in table.notes if note.name == "Next")
    assert command == f"simclr-spec run {FEW} width=1"


def test_the_commands_that_come_next_can_be_typed(tmp_path: Path, store: Store) -> None:
    fail(store, of(compile([FEW]), stage="supervised", width=1)[0])
    table = make(write(tmp_path, SMALL), store, sets=("pretrain.encoder.stem='cifar'",))
    commands = next(note.items for note in table.notes if note.name == "Next")
    assert [command.split()[1] for command in commands] == ["logs", "run"]
    for command in commands:
        dry = ["--dry-run"] if " run " in command else []
        done = CliRunner().invoke(main, [*shlex.split(command)[1:], *dry])
        assert done.exit_code == 0, (command, done.output)


def test_without_options_the_plan_that_ran_last_is_shown_and_named(tmp_path: Path, store: Store) -> None:
    store.path.mkdir()
    record_plan(store, ["quickstart"], None, ["pretrain.epochs=3"])
    recorded = last_plan(store, "quickstart")
    assert recorded is not None
    table = make("quickstart", store)
    assert table.subtitle[-1] == f"quickstart --set pretrain.epochs=3, as run {recorded.time[:16]}"
    assert any(s.origins["epochs"].value == 3 for s in table.plan.steps)
    asked = make("quickstart", store, sets=("pretrain.epochs=4",))
    assert asked.subtitle[-1] == "quickstart --set pretrain.epochs=4"


@pytest.mark.usefixtures("store")
def test_a_report_shows_the_cells_that_are_asked_for() -> None:
    whole = json.loads(run("report", "quickstart", "--format", "json").output)
    some = json.loads(run("report", "quickstart", "kind=supervised", "labels_per_class=1", "--format", "json").output)
    assert len(whole["rows"]) == 8
    assert some["rows"] == whole["rows"][:2]
    assert run("report", "quickstart", "kind=pretrain").output == "no cell of this report shows a Step with kind=pretrain\n"
    assert "Deviations" in run("report", "quickstart", "kind=supervised").output
