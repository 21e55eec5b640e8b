"""How numbers are to be read: for how long they were trained, and where the paper's come from."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from simclr_spec.language import declared
from simclr_spec.language.report import load
from simclr_spec.language.spec import read_spec
from simclr_spec.report.formats.registry import render
from simclr_spec.report.table import Table, make
from simclr_spec.store.layout import Store
from tests.finished import FEW
from tests.reports import EIGHT, SMALL, elsewhere, write


def _note(table: Table, name: str) -> tuple[str, ...]:
    return next((note.items for note in table.notes if note.name == name), ())


def test_trainings_of_table_1_are_told_by_stage_and_length(store: Store) -> None:
    """The official checkpoints have these numbers of train steps."""
    assert _note(make("table1", store), "Trained") == (
        "finetune label_fraction=0.01: 751 train steps, 769,024 images",
        "finetune label_fraction=0.1: 3,754 train steps, 3,844,096 images",
        "finetune label_fraction=1.0: 37,535 train steps, 38,435,840 images",
        "linear_eval: 28,151 train steps, 115,306,496 images",
        "pretrain: 250,228 train steps, 1,024,933,888 images",
        "supervised: 28,151 train steps, 115,306,496 images",
    )


def test_only_what_the_cells_measure_counts(store: Store) -> None:
    """Parameters are known without a pretraining."""
    assert [item.partition(":")[0] for item in _note(make("table1", store, sets=("finetune.train_steps=5",)), "Trained")] == [
        "finetune",
        "linear_eval",
        "pretrain",
        "supervised",
    ]


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("width = 2", {"width=1", "width=2"}),
        ("labels_per_class = 1", {"labels_per_class=1", "label_fraction=1.0"}),
        ("width = 2, labels_per_class = 1", {"labels_per_class=1 width=2", "label_fraction=1.0 width=1"}),
    ],
)
def test_what_tells_lengths_apart_is_named(when: str, told: set[str], tmp_path: Path, store: Store) -> None:
    """Labels, encoders, or both; of what is not named there is one length."""
    narrow = (
        (Path(FEW).parent / "narrow.toml")
        .read_text(encoding="utf-8")
        .replace("epochs = 60", "train_steps = 8\nbatch = 8", 1)
        .replace("batch = 64\n", "")
    )
    rules = f"\n[[supervised.rules]]\nwhen = {{ {when} }}\nset = {{ train_steps = 4 }}\n"
    (tmp_path / "narrow.toml").write_text(narrow + rules, encoding="utf-8")
    (tmp_path / "few.toml").write_text(Path(FEW).read_text(encoding="utf-8"), encoding="utf-8")
    report = EIGHT.replace(json.dumps(FEW), '"few.toml"')
    items = [item for item in _note(make(write(tmp_path, report), store), "Trained") if item.startswith("supervised")]
    assert {item.split(": ")[1].split(",")[0] for item in items} == {"4 train steps", "8 train steps"}
    assert len(items) == 2
    assert told <= {name for item in items for name in item.partition(":")[0].removeprefix("supervised ").split(", ")}


def test_each_cell_tells_its_train_steps_and_images(store: Store) -> None:
    table = make("table1", store)
    cells = json.loads(render("json", table))["cells"]
    told = {cell["cell"]: (cell["train_steps"], cell["images_seen"]) for cell in cells}
    assert told["table1/50-1x/parameters"] == ([250228], [1024933888])
    assert told["table1/50-1x/finetune/0.01"] == ([751], [769024])
    rows = csv.DictReader(io.StringIO(render("csv", table)))
    told = {row["cell"]: (row["train_steps"], row["images_seen"]) for row in rows}
    assert told["table1/50-1x/finetune/0.01"] == ("751", "769024")


def test_figures_and_notes_of_a_report_are_named_in_every_format(tmp_path: Path, store: Store) -> None:
    text = f'{SMALL}notes = ["One thing.", "Another."]\n[[figures]]\ntitle = "Stages"\nkind = "diagram"\n'
    table = make(write(tmp_path, text), store)
    assert (_note(table, "Figures"), _note(table, "Notes")) == (("Stages",), ("One thing.", "Another."))
    shown = json.loads(render("json", table))
    assert (shown["figures"], shown["notes"]) == (["Stages"], ["One thing.", "Another."])


@pytest.mark.parametrize("name", declared.names("report"))
def test_what_is_said_of_the_papers_values_is_said_at_its_scale_only(name: str, store: Store) -> None:
    report, _ = load(name)
    if set(report.spec) & {"quickstart", "speedrun", "study_cifar10"}:
        assert report.paper_notes == ()
        return
    assert _note(make(name, store, **elsewhere(name)), "Notes") == report.notes
    assert _note(make(name, store, "paper"), "Notes") == (*report.notes, *report.paper_notes)
    assert [note for note in report.notes if re.search(r"\bvalues?\b|\bnumbers?\b|Table [123]", note)] == []


@pytest.mark.parametrize("name", declared.names("report"))
def test_a_title_names_no_data_set_for_the_scale_says_which_it_is(name: str) -> None:
    titles = {load(name)[0].title, *(read_spec(spec).title for spec in load(name)[0].spec)}
    assert [title for title in titles if re.search(r"cifar|digits|imagenet", title, re.IGNORECASE)] == []


def test_a_source_of_its_own_is_told_with_its_rows(store: Store, tmp_path: Path) -> None:
    text = """
title = "Table 3"
spec = "table1"
source = "Table 3"
metric = "top1"
columns = [{ title = "1 %", where = { stage = "finetune", label_fraction = 0.01 } }]
rows = [
  { title = "S4L", adopted = [25.4], source = "Table 3" },
  { title = "one", where = { depth = 50, width = 1, sk = false }, paper = [73.9] },
  { title = "two", where = { depth = 50, width = 2, sk = true }, paper = [75.9] },
]
"""
    assert _note(make(write(tmp_path, text), store), "Sources") == ("Table 3", "† adopted from there, too")
    other = text.replace("paper = [75.9]", 'paper = [75.9], source = "issue 77"')
    assert _note(make(write(tmp_path, other), store), "Sources") == (
        "Table 3",
        "† adopted from there, too",
        "elsewhere, not the paper's: two: issue 77",
    )
    borrowed = text.replace(", paper = [75.9]", "").replace("metric", 'paper_of = ["table1"]\nmetric')
    assert _note(make(write(tmp_path, borrowed), store), "Sources")[1] == "two: arXiv:2006.10029v2, Table 1"
