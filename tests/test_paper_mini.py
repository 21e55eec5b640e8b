"""A cut of `make paper-mini`: the paper's tables and figures in one run, a rehearsal on a CPU, and the page of all of them.

The cut is ResNet-50 1× in every table and figure, with all that it needs, trained for a moment only.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simclr_spec.core.files import read_json
from simclr_spec.report.addresses import cells_of, of_the_paper
from simclr_spec.store import outcomes
from simclr_spec.store.layout import Store
from tests.typed import run

OPTIONS = ("--scale", "digits", "--set", "train_steps=2")
CUT = ("depth=50", "width=1", "sk=false", "seed=0")
ELSEWHERE = {"study_cifar10"}
"""Reports without a ResNet-50 1×."""


def test_the_papers_tables_and_figures_in_one_run_and_one_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / "runs")
    done = run("run", "--all", *CUT, *OPTIONS, "--store", "runs")
    assert done.exit_code == 0, done.output
    assert {read_json(folder.result) is not None and bool(outcomes.read(folder)) for folder in store.folders()} == {True}
    told = run("report", "--all", *OPTIONS, "--store", "runs").stdout
    for name in of_the_paper():
        cells = [*cells_of(name, OPTIONS[1], (OPTIONS[3],))]
        finished = sum(all(store.folder(step.id).done for step in cell.steps) for cell in cells)
        if cells:
            assert re.search(rf"^{name} +{finished} of {len(cells)} cells?, first time$", told, re.MULTILINE), (name, told)
        assert finished or not cells or name in ELSEWHERE, name
    page = Path("out/index.html").read_text(encoding="utf-8")
    for name in set(of_the_paper()) - ELSEWHERE:
        assert Path(f"out/{name}.md").is_file(), name
        assert f'id="{name}"' in page, name
    assert page.count("NOT the paper") >= len(of_the_paper()) - len(ELSEWHERE)
    assert page.count("<svg") >= 10
    assert run("run", "--all", *CUT, *OPTIONS, "--store", "runs").stdout.count("begins") == 0, "all is done"
