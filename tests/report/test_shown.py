"""What a report may show: the paper's numbers, deviations and assumptions, in every format."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import subprocess
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from simclr_spec.cli.main import main
from simclr_spec.core.errors import UsageError
from simclr_spec.core.words import footnote
from simclr_spec.language import declared
from simclr_spec.language import report as report_language
from simclr_spec.plan import compile
from simclr_spec.report.formats.registry import render
from simclr_spec.report.formats.table import render as plain
from simclr_spec.report.layout import laid_out
from simclr_spec.report.lines import note_lines
from simclr_spec.report.notes import Note
from simclr_spec.report.output import format_of
from simclr_spec.report.table import make
from simclr_spec.store.layout import Store
from tests.finished import FEW, fail, finish, finish_all
from tests.reports import EIGHT, SMALL, elsewhere, everything, of, write
from tests.typed import run

NEW, FAILED = "new", "failed"


# The paper's numbers (law 8)


def _paper_numbers(name: str = "table1") -> set[str]:
    report, _ = report_language.load(name)
    values = [value for row in report.rows for value in (*(row.paper or ()), *(row.adopted or ()))]
    return {f"{value:.1f}" for value in values if isinstance(value, float)}


@pytest.mark.parametrize("name", declared.names("report"))
def test_off_the_papers_scale_no_number_of_the_paper_stands_in_any_format(name: str, store: Store) -> None:
    report, _ = report_language.load(name)
    other = elsewhere(name)
    finish_all(store, compile(report.spec, **other), 12.345)
    table = make(name, store, **other)
    known = {f"{cell.mean:.1f}" for cell in table.cells if cell.mean is not None}
    for form, text in everything(table).items():
        assert not (_paper_numbers(name) - known) & set(re.findall(r"\d+\.\d+", text)), form
        assert "paper open" not in text, form
        assert "a rehearsal, NOT the paper's setting" in text.replace("&#x27;", "'"), form


@pytest.mark.parametrize(
    "change", ["epochs=1", "encoder.base_width=8", "test_images=1000", "dataset.image_size=96", "train_steps=5"]
)
def test_a_smaller_experiment_by_set_is_no_more_the_papers_than_by_scale(store: Store, change: str) -> None:
    table = make("table1", store, scale="paper", sets=(change,))
    assert not table.at_paper_scale
    assert not _paper_numbers() & set(re.findall(r"\d+\.\d+", render("table", table)))


@pytest.mark.parametrize(
    ("name", "scale"), [("quickstart", None), ("table1", "digits"), ("table1", "cifar10"), ("table1", "paper")]
)
def test_every_format_names_every_deviation_and_assumption(store: Store, name: str, scale: str | None) -> None:
    finish(store, of(compile([name], scale=scale), kind="supervised")[0], {"top1": 1.5})
    table = make(name, store, scale=scale)
    changed = {n.removesuffix(".name") for s in table.plan.steps for n, o in s.origins.items() if o.recipe is not None}
    assumed = {n for s in table.plan.steps for n, o in s.origins.items() if o.is_assumption}
    assert bool(changed) == (scale != "paper")
    assert "memory.enqueue" in assumed
    for form, text in everything(table).items():
        unescaped = re.sub(r"\s+", " ", text.replace("\\", ""))
        for field in changed | assumed:
            assert field in unescaped, (form, field)


def test_a_file_cannot_claim_its_changes_for_the_paper(tmp_path: Path, store: Store) -> None:
    spec = (declared.read("spec", "table1").text).replace(
        "[stages.pretrain]", '[stages.pretrain]\nepochs = { value = 1, source = "my word", status = "paper" }'
    )
    (tmp_path / "spec.toml").write_text(spec)
    report = declared.read("report", "table1").text.replace('spec = "table1"', 'spec = "spec.toml"')
    finish(store, of(compile([str(tmp_path / "spec.toml")]), kind="supervised")[0], {"top1": 1.5})
    table = make(write(tmp_path, report), store)
    assert not table.at_paper_scale
    assert not _paper_numbers() & set(re.findall(r"\d+\.\d+", render("table", table)))
    assert "epochs 1≠800 (paper: my word)" in render("table", table)


@pytest.mark.parametrize("again", ["precision=fp32", "precision='fp32'"])
def test_an_assumption_that_is_set_once_more_stays_one(store: Store, again: str) -> None:
    table = make("table1", store, scale="paper", sets=(again,))
    assert "precision fp32" in next(note.text for note in table.notes if note.name == "Assumptions")
    assert table.subtitle[0] == "the paper's recipe"


def test_notes_stand_by_stage_wrapped_between_items_and_lose_none(tmp_path: Path, store: Store) -> None:
    table = make(write(tmp_path, SMALL), store, sets=("finetune.epochs=7",))
    note = next(note for note in table.notes if note.name == "Deviations")
    assert [stages for stages, _ in note.groups] == ["every stage", "pretrain", "finetune", "supervised"]
    groups = dict(note.groups)
    assert "dataset digits≠imagenet" in groups["every stage"]
    assert {"epochs 80≠800", "memory.enabled off≠on"} <= set(groups["pretrain"])
    assert {"epochs 7≠60, 7≠30", "head.out_dim 64≠128"} <= set(groups["finetune"])
    changed = {
        (s.stage, f"{n.removesuffix('.name')} {footnote(o.value)}≠")
        for s in table.plan.steps
        for n, o in s.origins.items()
        if o.recipe is not None
    }
    for stage, claim in changed:
        if stage in groups:
            assert any(item.startswith(claim) for item in (*groups["every stage"], *groups[stage])), (stage, claim)
    for width in (40, 80, 200):
        lines = note_lines(note, width)
        assert max(map(len, lines)) <= width
        assert [line.startswith("  ") for line in lines].count(False) == 4
        assert " ".join(line.strip() for line in lines) == " ".join(f"{of}: {' · '.join(items)}" for of, items in note.groups)


def test_no_option_hides_what_stands_below_a_table() -> None:
    """Whoever adds an option must come here and say that it hides neither deviations nor assumptions."""
    command = main.commands["report"]
    options = {"words", "everything", "scale", "sets", "weights", "data_root", "store", "form", "output", "curves", "strict"}
    assert {option.name for option in command.params} == options


def test_only_what_differs_from_the_recipe_is_a_deviation(tmp_path: Path, store: Store) -> None:
    table = make("table1", store, sets=("finetune.batch=1024", "pretrain.batch=2048"))
    assert next(note for note in table.notes if note.name == "Deviations").items == ("batch 2048≠4096 (pretrain)",)


# Formats


def test_json_and_csv_hold_every_cell_in_full_precision_down_to_its_steps(tmp_path: Path, store: Store) -> None:
    plan = compile([FEW])
    steps = of(plan, stage="supervised", width=1, labels_per_class=1)
    for step, top1 in zip(steps, (100 / 3, 100 / 7, 0.1, 0.2), strict=True):
        finish(store, step, {"top1": top1})
    table = make(write(tmp_path, SMALL), store)
    cell = json.loads(render("json", table))["cells"][0]
    assert [value["value"] for value in cell["steps"]] == [100 / 3, 100 / 7, 0.1, 0.2]
    assert [value["id"] for value in cell["steps"]] == [step.id for step in steps]
    data = pd.read_csv(io.StringIO(render("csv", table)))
    assert len(data) == 4
    assert data["mean"][0] == cell["mean"]
    assert data["steps"][0].split() == [step.id for step in steps]
    assert data["setting"].str.startswith("a rehearsal, NOT the paper's setting").all()
    for note in table.notes:
        if note.name in ("Deviations", "Assumptions", "Made from"):
            column = data[note.name.lower().replace(" ", "_")]
            assert column[0] == note.text
            assert column[1:].isna().all()
    first, second, *_ = csv.DictReader(io.StringIO(render("csv", table)))
    assert (first["deviations"] == data["deviations"][0], second["deviations"]) == (True, "")


NASTY = r"<script>alert('x')</script> & | \ _ * % $ # { } ~ ^ ` \"q\""


class _Texts(HTMLParser):
    """Headings of rows and columns, and every tag that occurs."""

    def __init__(self) -> None:
        super().__init__()
        self.tags = Counter[str]()
        self.data = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags[tag] += 1

    def handle_data(self, data: str) -> None:
        self.data += data


def test_markup_escapes_whatever_a_title_holds(tmp_path: Path, store: Store) -> None:
    title = json.dumps(NASTY.replace('\\"', '"'))
    text = (
        SMALL.replace('"Small"', title)
        .replace('"supervised", where', f"{title}, where")
        .replace('title = "all"', f"title = {title}")
    )
    finish(store, of(compile([FEW]), kind="supervised", width=1, label_fraction=1.0)[0], {"top1": 1.5})
    table = make(write(tmp_path, text), store)
    page = _Texts()
    page.feed(render("html", table))
    assert page.tags["script"] == 1  # its own
    assert page.data.count(table.report.title) >= 4  # title, h1, column, row
    latex = render("latex", table)
    for line in latex.splitlines():
        if line.startswith((r"% in the preamble", r"\resizebox")):
            continue
        bare = re.sub(r"\\[\\{}$&#%_]|\\[a-z]+(\[\w\])?(\{\})?", "", line)
        assert not set(bare) & set("#%_~^<>|"), line
        assert bare.count("$") == 0 or re.sub(r"\$\s*\$", "", bare).count("$") % 2 == 0, line
    rows = [line for line in render("markdown", table).splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} == {4}
    assert not any(re.search(r"(?<!\\)<(?!br>)", line) for line in rows)


def test_plain_text_has_aligned_columns(tmp_path: Path, store: Store) -> None:
    finish_all(store, compile([FEW]), 50)
    lines = render("table", make(write(tmp_path, EIGHT), store)).splitlines()
    starts = {line.index("50.0 ± 0.0 (4)") for line in lines if "±" in line}
    assert len(starts) == 1
    assert sum("±" in line for line in lines) == 8


@pytest.mark.parametrize(
    ("form", "output", "expected"),
    [
        (None, None, "table"),
        (None, "a/b.tex", "latex"),
        ("json", "b.txt", "json"),
        ("csv", None, "csv"),
        (None, "b.txt", "table"),
    ],
)
def test_the_format_asked_for_wins_over_the_extension(form: str | None, output: str | None, expected: str) -> None:
    assert format_of(form, output) == expected


def test_an_unknown_extension_is_told() -> None:
    with pytest.raises(
        UsageError, match=r"^table\.xls: name one of \.txt \.md \.csv \.json \.tex \.html \.svg \.png, or say --format$"
    ):
        format_of(None, "table.xls")


def test_a_report_is_never_overwritten_by_its_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.json").write_text("{}")
    done = run("report", "mine.json", "-o", "./mine.json")
    assert (done.exit_code, done.output) == (2, "./mine.json is the report itself: name another file for the table\n")
    assert Path("mine.json").read_text() == "{}"


@pytest.mark.parametrize("columns", [48, 80, 132])
@pytest.mark.parametrize("name", ["table1", "quickstart", "speedrun", "eight"])
def test_lines_keep_within_the_terminal_and_cut_no_title_and_no_number(
    name: str, columns: int, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With results, failures and Steps that were not begun."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.chdir(tmp_path)
    Path("few.toml").write_text(Path(FEW).read_text())
    Path("narrow.toml").write_text((Path(FEW).parent / "narrow.toml").read_text())
    report = write(Path(), EIGHT.replace(json.dumps(FEW), '"few.toml"')) if name == "eight" else name
    plan = compile(["few.toml" if name == "eight" else name])
    for number, step in enumerate(plan.steps):
        if number % 5 < 3:
            finish(store, step, {"top1": 12.3, "linear_top1": 45.6, "knn_top1": 78.9, "top5": 1.0})
        elif number % 5 == 3:
            fail(store, step)
    table = make(report, store)
    for shown in (everything(table)["terminal"], plain(table, columns)):
        assert max(map(len, shown.splitlines())) <= columns
        grid = shown.partition("\nMissing")[0]
        assert "…" not in grid
        pattern = r"\d\d\.\d(?: ± \d\.\d)? \(\d"
        assert Counter(re.findall(pattern, grid)) == Counter(re.findall(pattern, plain(table)))
        words = grid.split()
        for title in [row.title for row in table.report.rows] + [column.title for column in table.report.columns]:
            assert set(title.split()) <= set(words), title
        for command in next(note.items for note in table.notes if note.name == "Next"):
            assert " ".join(command.split()) in re.sub(r"[ \\\n]+", " ", shown)


@pytest.mark.parametrize("store", ["my runs of 2026", "a  b", "x'y z", "50%"])
def test_a_command_is_broken_between_its_words(store: str) -> None:
    """So that a shell reads what it would have read."""
    words = ["run", "my spec.toml", "--set", "epochs=2", "--store", store]
    command = Note("Next", (shlex.join(["said", *words]),))
    for width in range(20, 70):
        lines = "\n".join(f"   {line}" for line in note_lines(command, width))
        read = subprocess.check_output(["sh", "-c", f"said() {{ printf '%s\\n' \"$@\"; }}\n{lines}"], text=True)
        assert read.splitlines() == words


def test_columns_without_room_stand_below_under_titles_of_their_own() -> None:
    titles = [[("", "")], *([(f"column {k}", "")] for k in "abc")]
    rows = [[[("one row", "")], *([(f"{k}{n} of 10, failed", "")] for k in range(3))] for n in range(2)]
    rows.append([[("last", "")], [("x", "")], [], []])
    lines = ["".join(text for text, _ in line).rstrip() for line in laid_out([titles, *rows], 30, right=False)]
    assert lines == [
        "         column a    column b",
        "one row  00 of 10,   10 of 10,",
        "         failed      failed",
        "one row  01 of 10,   11 of 10,",
        "         failed      failed",
        "last     x",
        "",
        "         column c",
        "one row  20 of 10, failed",
        "one row  21 of 10, failed",
    ]


def test_titles_are_folded_before_a_table_is_parted() -> None:
    grid = [[[("", "")], [("a long title", "")], [("b", "")]], [[("a row of many words", "")], [("1", "")], [("2.0 (4)", "")]]]
    lines = ["".join(text for text, _ in line) for line in laid_out(grid, 30, right=True)]
    assert lines == [
        "                    a        b",
        "                 long         ",
        "                title         ",
        "a row of many       1  2.0 (4)",
        "words                         ",
    ]


# Before there is a result


@pytest.mark.parametrize(("name", "steps"), [("table1", 78), ("quickstart", len(compile(["quickstart"]).steps))])
def test_an_unstarted_plan_is_told_in_a_few_lines(name: str, steps: int, store: Store) -> None:
    for text in (render("table", make(name, store)), everything(make(name, store))["terminal"]):
        lines = text.splitlines()
        assert len(lines) <= 10
        assert f"No result yet: {steps} {NEW} of {steps} Steps." in lines
        assert text.count(NEW) == 1
        assert [line.split()[0] for line in lines if line.startswith(("Deviations", "Assumptions"))] == [
            "Deviations",
            "Assumptions",
        ]
        assert f"simclr-spec explain {name} lists them" in text
        assert f"simclr-spec plan {name}\n" in text
        assert f"simclr-spec run {name}\n" in text
        assert not re.findall(r"\d\.\d", text.partition("\n\n")[2])


def test_a_step_on_its_way_or_failed_brings_the_table(store: Store) -> None:
    plan = compile(["table1"])
    finish(store, of(plan, kind="pretrain")[-1], {"knn_top1": 1.0})
    text = render("table", make("table1", store))
    assert "no linear_top1" in text
    text = render("table", make("table1", store, scale="digits"))
    assert "No result yet" in text
    failed = of(compile(["table1"], scale="digits"), kind="finetune")[0]
    fail(store, failed)
    text = render("table", make("table1", store, scale="digits"))
    assert re.search(rf"50 1× +0\.38 +[\d.]+ +{FAILED} +– +– +– +– +–\n", text)
    assert re.search(r"50 1× SK +0\.61 +[\d.]+ +– +– +– +– +– +–\n", text)
    assert re.search(rf"Missing +1 {FAILED} · 77 {NEW}\n", text)
    assert "batch 64≠1024" in text, "law 8: what stands below is there in full again"


def test_a_command_keeps_its_dashes_in_latex(store: Store, tmp_path: Path) -> None:
    latex = render("latex", make(write(tmp_path, SMALL), store, scale="digits"))
    assert "-{}-scale" in latex
    assert r"\textendash{}" in latex  # of a cell that nobody has begun


def test_losses_have_three_decimals(store: Store, tmp_path: Path) -> None:
    for step in of(compile([FEW]), stage="supervised", width=1):
        finish(store, step, {"loss": 2.2957 + 0.0015 * step.coordinates["seed"]})
    assert "2.298 ± 0.002 (4)" in render("table", make(write(tmp_path, SMALL.replace("top1", "loss")), store))
