"""A changed or scaled run never passes for the paper's setting: departures and assumptions stand under every table.

At length, in every format and scale: tests/report/test_shown.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from simclr_spec.plan import compile
from simclr_spec.plan.departures import assumptions, deviations
from simclr_spec.report.table import make
from simclr_spec.store.layout import Store
from tests.finished import finish
from tests.reports import everything, of


@pytest.mark.parametrize("options", [{"scale": "digits"}, {"sets": ("pretrain.epochs=3",)}])
def test_no_format_leaves_out_a_departure(options: dict[str, object], store: Store) -> None:
    plan = compile(["table1"], **options)  # type: ignore[arg-type]
    finish(store, of(plan, kind="supervised")[0], {"top1": 1.5})
    departures = {one.name.removesuffix(".name") for one in (*deviations(plan.steps), *assumptions(plan.steps))}
    for form, text in everything(make("table1", store, **options)).items():  # type: ignore[arg-type]
        assert {name for name in departures if name not in text.replace("\\", "")} == set(), form


@pytest.mark.parametrize("options", [{"scale": "digits"}, {"sets": ("epochs=3",)}])
def test_off_the_papers_scale_no_number_of_the_paper_stands(options: dict[str, object], store: Store) -> None:
    table = make("table1", store, **options)  # type: ignore[arg-type]
    assert not table.at_paper_scale
    assert {cell.paper for cell in table.cells} == {None}
    assert {cell.paper for cell in make("table1", store, "paper").cells} > {57.9}


def test_a_scale_of_the_same_size_is_not_the_papers_either(store: Store, tmp_path: Path) -> None:
    scale = tmp_path / "same.toml"
    scale.write_text('title = "Same"\n[common]\nprecision = "bf16"\n', encoding="utf-8")
    table = make("table1", store, str(scale))
    assert not table.at_paper_scale
    assert {cell.paper for cell in table.cells} == {None}
