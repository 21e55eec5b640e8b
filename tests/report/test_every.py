"""Several reports at once, as typed: on the terminal, into a folder, and what is told of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from simclr_spec.plan import compile
from simclr_spec.report.formats.registry import render
from simclr_spec.report.table import make
from simclr_spec.store.history import record_plan
from simclr_spec.store.layout import Store
from tests.finished import FEW, fail, finish, finish_all
from tests.reports import SMALL, of
from tests.typed import run

WITH_SUPERVISED_R50 = ("figure2", "figure4", "figure6", "quickstart", "study_sizes", "study_sk", "table1", "tableH1")
"""Declared reports that show Table 1's supervised ResNet-50, and quickstart."""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    monkeypatch.chdir(tmp_path)


def _files() -> list[str]:
    return sorted(str(path) for folder in Path().iterdir() if folder.name != "runs" for path in folder.rglob("*"))


def test_without_a_name_every_table_with_a_result_is_written_and_changes_are_told(store: Store) -> None:
    first, second = of(compile(["table1"]), kind="supervised")[:2]
    finish(store, first, {"top1": 76.6})
    finish(store, of(compile(["quickstart"]), kind="pretrain")[0], {"knn_top1": 50.0})
    done = run("report")
    tables = {name: make(name, store) for name in WITH_SUPERVISED_R50}
    files = [f"out/{name}{extension}" for name in tables for extension in (".md", ".csv")]
    drawn = [
        f"out/{name}{extension}" for name, table in tables.items() if table.report.figures for extension in (".svg", ".png")
    ]
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == list(tables)
    assert {"figure2      1 of 7 cells, first time", "table1       1 of 78 cells, first time"} < set(lines)
    assert (done.exit_code, lines[-1]) == (
        0,
        f"written: {len(files) + len(drawn) + 2} files into out, of which out/index.html shows all",
    )
    assert _files() == sorted([*files, *drawn, "out/cells.json", "out/index.html"])
    page = Path("out/index.html").read_text(encoding="utf-8")
    places = [page.index(f'id="{name}:title"') for name in ("table1", "tableH1", "figure2", "study_sk", "quickstart")]
    assert places == sorted(places)
    for name, table in tables.items():
        assert Path(f"out/{name}.md").read_text() == render("markdown", table)
        assert Path(f"out/{name}.csv").read_bytes().decode() == render("csv", table)
    assert all(line.endswith(", as last time") for line in run("report").stdout.splitlines()[:-1])
    finish(store, second, {"top1": 78.5})
    told = "table1       2 of 78 cells, 1 new\n  50-1x-sk/supervised  78.5 (1)\n"
    assert told in run("report").stdout


def test_what_changed_and_what_is_gone_is_told_and_a_damaged_memory_is_none(store: Store) -> None:
    steps = of(compile(["speedrun"]), kind="finetune"), of(compile(["speedrun"]), kind="supervised")
    folder, _ = (finish(store, step, {"top1": 76.6}) for (step,) in steps)
    assert run("report").stdout.startswith("speedrun  2 of 4 cells, first time\n")
    folder.result.write_text(folder.result.read_text().replace("76.6", "70.0"))
    assert run("report").stdout.splitlines()[:2] == [
        "speedrun  2 of 4 cells, 1 changed",
        "  fine-tuned/1-of-the-labels  76.6 (1) → 70.0 (1)",
    ]
    folder.result.unlink()
    assert run("report").stdout.startswith("speedrun  1 of 4 cells, 1 changed\n")
    Path("out/cells.json").write_text("{")
    assert run("report").stdout.startswith("speedrun  1 of 4 cells, first time\n")
    assert json.loads(Path("out/cells.json").read_text())["speedrun"]["supervised/1-of-the-labels"] == "76.6 (1)"


def test_each_table_is_that_of_the_plan_that_ran_last(store: Store) -> None:
    record_plan(store, ["table1"], "digits", ["finetune.epochs=2"])
    finish_all(store, compile(["table1"], scale="digits", sets=["finetune.epochs=2"]), 33.3)
    run("report", "--format", "table")
    text = Path("out/table1.txt").read_text()
    assert "table1 --scale digits --set finetune.epochs=2, as run 20" in text
    assert "33.3 (1)" in text
    assert "Deviations   every stage: " in text


def test_a_format_narrows_the_files_and_an_option_names_their_folder(store: Store) -> None:
    finish_all(store, compile(["quickstart"]), 50)
    done = run("report", "--format", "json", "-o", "tables/today", "stage=supervised")
    assert done.output.endswith("\nwritten: 2 files into tables/today\n")
    text = Path("tables/today/quickstart.json").read_text()
    assert '"mean": 50.0' in text
    assert "fine-tuned" not in text
    assert _files() == ["tables/today", "tables/today/cells.json", "tables/today/quickstart.json"]


@pytest.mark.usefixtures("store")
def test_without_any_result_a_sentence_says_so_and_nothing_is_written() -> None:
    told = "None of 20 reports has a result in {}/runs; `simclr-spec list` names them, `simclr-spec run` begins one.\n"
    done = run("report")
    assert (done.exit_code, done.output) == (0, told.format(Path.cwd()))
    assert run("report", "--strict").exit_code == 1
    assert _files() == []


def test_a_table_that_cannot_be_shown_any_more_hides_no_other(store: Store) -> None:
    Path("big.toml").write_text('title = "Big"\n[pretrain]\nepoch = 3\ntemprature = 1\n')
    record_plan(store, ["quickstart"], "big.toml", [])
    finish(store, of(compile(["speedrun"]), kind="supervised")[0], {"top1": 76.6})
    done = run("report")
    assert done.exit_code == 1
    (told,), shown = done.stderr.splitlines(), done.stdout.splitlines()
    assert told.startswith(f"quickstart cannot be shown: {Path.cwd()}/big.toml:3:1: unknown key 'epoch'")
    assert told.endswith(" (and 1 more: simclr-spec report quickstart)")
    assert shown == [shown[0], "written: 4 files into out, of which out/index.html shows all"]
    assert shown[0].startswith("speedrun  ")
    assert run("report", "quickstart").exit_code == 2


def test_strict_holds_over_all(store: Store) -> None:
    finish_all(store, compile(["quickstart"]), 50)
    assert run("report", "--strict").exit_code == 0
    finish(store, of(compile(["table1"]), kind="supervised")[0], {"top1": 76.6})
    assert run("report", "--strict").exit_code == 1
    assert run("report").exit_code == 0


def test_several_names_are_printed_or_written(store: Store) -> None:
    finish_all(store, compile([FEW]), 50)
    Path("mine.toml").write_text(SMALL)
    done = run("report", "mine.toml", "quickstart")
    assert done.output == "\n".join(render("table", make(name, store)) for name in ("mine.toml", "quickstart"))
    done = run("report", "mine.toml", "quickstart", "-o", "here")
    assert done.output == "written: here/mine.md, here/mine.csv, here/quickstart.md, here/quickstart.csv\n"
    assert run("report", "mine.toml", "nope", "-o", "there").exit_code == 2


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("-o", "a/mine.json"), "a/mine.json is a file, and several reports go into a folder: name another with -o\n"),
        (("quickstart", "table1", "--format", "json"), "several reports are no one json document: name a folder for them"),
        (("figure1", "table1", "--format", "png", "-o", "x"), "table1 has no figure to write as .png"),
        (("-o", "all.md"), "-o all.md: a file holds one report, so name one of them; or name a folder for all\n"),
        (("a/mine.json", "b/mine.json", "-o", "x"), "-o x: two of these reports have one name, and so would their tables: "),
        (("quickstart", "a/mine.json", "-o", "a", "--format", "json"), "a/mine.json is a report itself: name another folder"),
    ],
)
def test_no_table_takes_the_place_of_another_or_of_a_report(options: tuple[str, ...], told: str) -> None:
    for folder in ("a", "b"):
        Path(folder).mkdir()
        Path(folder, "mine.json").write_text("{}")
    done = run("report", *options)
    assert (done.exit_code, told in done.output) == (2, True), done.output
    assert Path("a/mine.json").read_text() == "{}"
    assert _files() == ["a/mine.json", "b/mine.json"]


def test_what_is_written_is_said_and_never_in_the_table_itself(store: Store) -> None:
    plan = compile(["table1"])
    finish(store, of(plan, kind="supervised")[0], {"top1": 76.6})
    fail(store, of(plan, kind="supervised")[1])
    done = run("report", "table1", "-o", "a/t.md")
    assert (done.stdout, done.stderr) == ("a/t.md: 1 of 78 cells, 1 of 78 runs\n", "")
    for command in (("report", "table1", "--format", "csv"), ("plan", "table1")):
        done = run(*command, "-o", "/dev/null")
        assert (done.stdout, done.stderr[:13]) == ("", "/dev/null: 1 " if "csv" in command else "/dev/null: 78")


def test_whoever_reads_only_the_beginning_has_all_files(store: Store) -> None:
    """As in `simclr-spec report | head -1`."""
    for name in ("quickstart", "speedrun"):
        finish_all(store, compile([name]), 50)
    command = [sys.executable, "-u", "-m", "simclr_spec", "report"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    written = [f"out/{name}{extension}" for name in ("quickstart", "speedrun") for extension in (".csv", ".md")]
    assert _files() == ["out/cells.json", "out/index.html", *written]


def test_a_selector_may_stand_without_a_name(store: Store) -> None:
    finish_all(store, compile(["quickstart"]), 50)
    assert run("report", "stag=finetune").exit_code == 2
    done = run("report", "stage=supervised")
    assert (done.exit_code, done.stderr) == (0, "")
    text = Path("out/quickstart.md").read_text()
    assert "**Made from:** 48 of 48 runs" in text  # of all stages: 168
    assert " · quickstart · only stage=supervised\n" in text
    assert "; last time: " in run("report").stdout
    assert run("report").stdout.splitlines()[0].endswith(", as last time")


def test_a_selector_of_nothing_is_told_as_for_one_report(store: Store) -> None:
    finish_all(store, compile(["speedrun"]), 50)
    done = run("report", "stage=nonsense")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == run("report", "speedrun", "stage=nonsense").stderr


def test_all_is_what_belongs_to_the_paper(store: Store) -> None:
    finish_all(store, compile(["quickstart"]), 50)
    finish(store, of(compile(["table1"]), kind="supervised")[0], {"top1": 76.6})
    assert run("report", "--all").exit_code == 0
    assert Path("out/table1.md").is_file()
    assert not Path("out/quickstart.md").exists()
    assert 'id="quickstart"' not in Path("out/index.html").read_text(encoding="utf-8")
    assert run("report", "--all", "table1").exit_code == run("report", "--all", "--curves").exit_code == 2


def test_each_report_takes_the_changes_that_concern_it(store: Store) -> None:
    """Figure 6 has no linear evaluation."""
    change, scale = "linear_eval.epochs=1", ("--scale", "digits")
    finish_all(store, compile(["table1"], scale="digits", sets=[change]), 50)
    finish_all(store, compile(["quickstart"], scale="digits"), 50)
    for words in (("table1", "figure6"), ()):
        done = run("report", *words, *scale, "--set", change)
        assert (done.exit_code, done.stderr) == (0, ""), words
    settings = {name: Path(f"out/{name}.md").read_text(encoding="utf-8").splitlines()[2] for name in ("table1", "figure6")}
    assert settings["table1"].endswith(" · table1 --scale digits --set linear\\_eval.epochs=1")
    assert settings["figure6"].endswith(" · figure6 --scale digits")
    for names in (("table1", "figure6"), (), ("figure6",)):
        done = run("report", *names, *scale, "--set", "linear_eval.epoch=1")
        assert (done.exit_code, done.stdout, done.stderr.count("linear_eval.epoch=1")) == (2, "", 1), done.stderr


@pytest.mark.parametrize("damage", ['{"speedrun": "x"}', '{"speedrun": {}}', '{"speedrun": {"": 1}}', "[]"])
def test_a_memory_of_another_form_is_none(damage: str, store: Store) -> None:
    finish_all(store, compile(["speedrun"]), 50)
    Path("out").mkdir()
    Path("out/cells.json").write_text(damage)
    done = run("report")
    assert (done.exit_code, done.stdout.splitlines()[0]) == (0, "speedrun  3 of 4 cells, first time")


def test_a_diagram_has_no_grid_in_any_format_and_is_told_as_that(store: Store) -> None:
    assert run("report", "figure3", "-o", "f.tex").stdout == "f.tex: a diagram, 0 of 13 runs\n"
    finish_all(store, compile(["table3"]), 50)
    assert "tabular" not in run("report", "figure3", "-o", "f.tex").stdout + Path("f.tex").read_text()
    assert "|" not in run("report", "figure3", "--format", "markdown").stdout.partition("\n\n- **")[0]
    text = run("report", "figure3").stdout
    assert "No result yet" not in text
    assert "\n\nFigures      The stages of Table 3\n" in text


def test_a_report_named_twice_is_shown_once(store: Store) -> None:
    finish_all(store, compile(["quickstart"]), 50)
    done = run("report", "quickstart", "quickstart")
    assert (done.exit_code, done.stdout) == (0, run("report", "quickstart").stdout)
