"""Training curves: as a picture and as data."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from simclr_spec.language.coordinates import Selector
from simclr_spec.plan import compile
from simclr_spec.report.curves import make_curves
from simclr_spec.report.figures import training
from simclr_spec.store.layout import Store
from tests.finished import FEW, finish
from tests.reports import SMALL, write
from tests.typed import run


def _trained(store: Store, count: int = 2) -> None:
    """The first pretrained network is done, and others are on their way."""
    for number, step in enumerate([step for step in compile([FEW]).steps if step.kind == "pretrain"][:count]):
        folder = finish(store, step, {"loss": 1.0}) if number == 0 else store.prepare(step.id, step.written({}))
        attempt = folder.attempts()[0] if number == 0 else folder.new_attempt()
        lines = [{"train_step": at, "epoch": at / 2, "loss": 5.0 - at, "learning_rate": 0.1 * at} for at in range(3)]
        lines[-1]["knn_top1"] = 60.0
        attempt.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize("of", ["spec", "report"])
def test_curves_of_a_spec_or_a_report_are_drawn_and_written(of: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _trained(Store(Path("runs")))
    name = FEW if of == "spec" else write(tmp_path, SMALL)
    assert (
        run("report", name, "--curves", "-o", "c.svg").output
        == f"c.svg: curves of {2 if of == 'spec' else 1} Step{'s' * (of == 'spec')}\n"
    )
    picture = Path("c.svg").read_text()
    ElementTree.fromstring(picture)
    assert "a rehearsal, NOT the paper" in picture
    for measure in ("loss", "learning_rate", "knn_top1"):
        assert picture.count(f"-curve-{measure}-") == (2 if of == "spec" else 1)
    run("report", name, "--curves", "width=1", "-o", "c.csv")
    lines = Path("c.csv").read_text().splitlines()
    assert len(lines) == 1 + 3 + 3 + 1
    assert {"step", "width", "train_step", "measure", "value"} <= set(lines[0].split(","))


def test_legends_of_curves_move_no_panel(store: Store) -> None:
    steps = compile([FEW]).steps
    chosen = [step for step in steps if step.kind == "pretrain"]
    chosen += [step for step in steps if step.stage == "finetune" and step.matches({"label_fraction": 1.0})]
    for step in chosen:
        attempt = store.prepare(step.id, step.written(dict.fromkeys(step.needs.values(), "elsewhere"))).new_attempt()
        names = ["loss", "learning_rate", "a", "b"][: 4 if step.kind == "pretrain" else 3]
        attempt.metrics.write_text("".join(json.dumps({"train_step": at, **dict.fromkeys(names, 1.0)}) + "\n" for at in (1, 2)))
    picture = training.svg(make_curves(FEW, store, None, (), Selector({"seed": [0, 1]})))
    starts = [float(x) for x in re.findall(r'-axes_\d+">\s*<g id="[^"]*-patch_\d+">\s*<path d="M ([\d.]+)', picture)]
    first, *rest = sorted({round(start) for start in starts})
    assert len(rest) == 3, "as many columns as measures"
    gaps = [b - a for a, b in zip([first, *rest], rest, strict=False)]
    assert max(gaps) < 1.1 * min(gaps)


def test_curves_want_one_name_a_picture_and_something_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words, sentence in [
        (["quickstart", "-o", "c.svg"], r"none of \d+ Steps of quickstart has a curve yet: simclr-spec run quickstart\n"),
        (
            ["quickstart"],
            r"curves are drawn as \.svg or \.png, or written as \.csv: name such a file, as in -o quickstart-.*\n",
        ),
        (["-o", "c.svg"], r"--curves wants the name of one report, or spec\n"),
    ]:
        done = run("report", "--curves", *words)
        assert done.exit_code == 2
        assert re.fullmatch(sentence, done.output)
