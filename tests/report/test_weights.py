"""Below every table stands whose weights its numbers begin with: in every format, and nobody can switch it off."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simclr_spec.core.files import read_json, write_json
from simclr_spec.plan import Step, compile
from simclr_spec.report.formats.registry import DRAWN, files
from simclr_spec.report.table import Table, make
from simclr_spec.store.layout import Store
from tests.finished import finish
from tests.reports import everything, of, write

OFFICIAL = ("weights=official",)
SHA = "1a2b3c4d" * 8
ONE = {"depth": 50, "width": 1, "sk": False}


def _item(table: Table) -> str:
    (item,) = next(note.items for note in table.notes if note.name == "Weights")
    return item


def _finish(store: Store, step: Step, sha256: str = SHA, **metrics: float) -> None:
    """As the executor leaves it: with the bytes that it read."""
    folder = finish(store, step, metrics)
    result = read_json(folder.result)
    assert result is not None
    folder.result.unlink()
    write_json(folder.result, result | {"weights_sha256": sha256})


def _words(text: str) -> str:
    """Without the marks and breaks of any format."""
    for mark, plain in (("{[}", "["), ("\\", ""), ("&#x27;", "'"), ("-{}-", "--"), ('"', "")):
        text = text.replace(mark, plain)
    return " ".join(text.split())


@pytest.mark.parametrize("begun", [False, True])
def test_every_format_says_whose_weights_they_are(begun: bool, store: Store) -> None:
    if begun:
        _finish(store, of(compile(["table1"], sets=OFFICIAL), kind="import", **ONE)[0])
        finish(store, of(compile(["table1"], sets=OFFICIAL), stage="linear_eval", **ONE)[0], {"top1": 71.7})
    table = make("table1", store, sets=OFFICIAL)
    known = "SHA-256 of 1 as read, of 12 not read yet" if begun else "SHA-256 of 13 not read yet"
    origin = "https://storage.googleapis.com/simclr-checkpoints/simclrv2"
    assert _item(table) == f"SimCLRv2's released checkpoints: 13 files, from {origin}, licence Apache-2.0, {known}"
    for form, text in everything(table).items():
        assert _item(table) in _words(text), form


def test_a_table_of_what_is_trained_here_says_nothing_of_it(store: Store) -> None:
    for name in ("table1", "quickstart"):
        assert all(note.name != "Weights" for note in make(name, store).notes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "resnet.pth, from https://a.example, licence CC-BY-4.0, SHA-256 not read yet"),
        ({"{ depth = 50 }": f'{{ depth = 50, sha256 = "{SHA}" }}'}, "licence CC-BY-4.0, SHA-256 1a2b3c4d declared"),
        ({'"separius"': '{ value = "separius", source = "a guess", status = "assumed" }'}, "layout separius assumed (a guess)"),
        ({'origin = "https://a.example"\nlicence = "CC-BY-4.0"\n': ""}, "from not stated, licence not stated, "),
    ],
)
def test_of_one_file_its_name_its_bytes_and_what_is_assumed(
    changes: dict[str, str], said: str, tmp_path: Path, store: Store
) -> None:
    weights = (
        'title = "A ResNet"\norigin = "https://a.example"\nlicence = "CC-BY-4.0"\nlayout = "separius"\n'
        'networks = [{ depth = 50 }]\n[sets.only]\nmade_by = "pretrain"\nfile = "resnet.pth"\nclasses = 1000\n'
    )
    for old, new in changes.items():
        assert old in weights
        weights = weights.replace(old, new)
    (tmp_path / "resnet.toml").write_text(weights, encoding="utf-8")
    (tmp_path / "spec.toml").write_text(
        'title = "t"\nrecipe = "simclrv2"\nencoders = [{ depth = 50 }]\n'
        '[stages.start]\nkind = "import"\nweights = "resnet.toml"\n'
        '[stages.test]\nkind = "evaluate"\nfrom = "start"\n',
        encoding="utf-8",
    )
    report = (
        'title = "R"\nspec = "spec.toml"\ncolumns = [{ title = "c" }]\nrows = [{ title = "r", where = { stage = "test" } }]\n'
    )
    name = write(tmp_path, report)
    assert said in _item(make(name, store))
    if not changes:
        _finish(store, of(make(name, store).plan, stage="start")[0])
        assert "SHA-256 1a2b3c4d as read" in _item(make(name, store))


def test_a_picture_says_that_weights_were_trained_elsewhere(store: Store) -> None:
    for form in DRAWN:
        drawn = files(form, make("figure1", store, sets=OFFICIAL), f"figure1.{form}")
        assert len(drawn) == 1
    (svg,) = files("svg", make("figure1", store, sets=OFFICIAL), "figure1.svg").values()
    assert isinstance(svg, str)
    assert re.search(r"and\s+weights that were trained elsewhere, told by", _words(re.sub("<[^>]*>", " ", svg)))
    (svg,) = files("svg", make("figure1", store), "figure1.svg").values()
    assert "trained elsewhere" not in str(svg)


def test_the_page_opens_a_step_with_its_file(store: Store) -> None:
    step = of(compile(["table1"], sets=OFFICIAL), kind="import", **ONE)[0]
    _finish(store, step)
    page = everything(make("table1", store, sets=OFFICIAL))["html"]
    assert f"{step.params['weights']['file']}, from https://storage" in page
    assert "SHA-256 1a2b3c4d as read" in page
    assert "images/s" not in page, "nothing was trained"
    assert "imagenet, digest" not in page, "and no image was seen"


def test_released_networks_are_judged_by_the_tolerance_and_trainings_that_start_from_them_by_the_margin(store: Store) -> None:
    plan = compile(["released"])
    for stage, top1 in (("pretrained_test", 71.6), ("finetuned_1pct_test", 57.6), ("supervised_test", 76.6)):
        finish(store, of(plan, stage=stage, **ONE)[0], {"top1": top1, "top5": 90.0})
    cells = {cell.address: cell for cell in make("released", store).cells}
    verdicts = [cells[f"50-1x/{column}"].verdict for column in ("linear", "finetune/0.01", "supervised", "finetune/0.1")]
    assert verdicts == ["match", "off", "match", "missing"]
    assert not any(cell.trained for cell in cells.values())
    made = next(note.text for note in make("released", store).notes if note.name == "Made from")
    assert made.endswith(" · weights from import")
    tuned = compile(["table1"], sets=OFFICIAL)
    finish(store, of(tuned, stage="linear_eval", **ONE)[0], {"top1": 71.7})
    cell = {cell.address: cell for cell in make("table1", store, sets=OFFICIAL).cells}["50-1x/linear"]
    assert (cell.trained, cell.verdict) == (True, "unjudged")
