"""A report's cell selects exactly one Step per chain of seeds, checked before anything else.

A missing result prints as missing. Each fault with its place: tests/report/test_report.py; adopted numbers:
tests/report/test_cells.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from simclr_spec.core.errors import SpecError
from simclr_spec.language import declared
from simclr_spec.language.report import load
from simclr_spec.plan import compile
from simclr_spec.report.select import select
from simclr_spec.report.table import make
from simclr_spec.store import results
from simclr_spec.store.layout import Store
from tests.finished import finish
from tests.reports import SMALL, everything, of, write


@pytest.mark.parametrize("name", declared.names("report"))
def test_every_cell_has_one_step_per_seed(name: str) -> None:
    report, source = load(name)
    plan = compile(report.spec)
    for row in select(report, source, plan):
        for cell in filter(None, row):
            seeds = [step.coordinates.get("seed") for step in cell.steps]
            assert len(seeds) == len(set(seeds)), (cell.row.title, cell.column.title)
            assert seeds or cell.row.adopted is not None or cell.adopted is not None


def test_a_cell_of_many_steps_is_a_fault_before_any_result_is_read(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(*_: object) -> None:
        raise AssertionError("read")

    monkeypatch.setattr(results, "frame", look)
    with pytest.raises(AssertionError, match="read"):
        make(write(tmp_path, SMALL), store)
    with pytest.raises(SpecError, match="they differ in width"):
        make(write(tmp_path, SMALL.replace(", width = 1", "")), store)


def test_a_missing_result_is_no_number(tmp_path: Path, store: Store) -> None:
    name = write(tmp_path, SMALL)
    plan = make(name, store).plan
    finish(store, of(plan, stage="supervised", width=1, label_fraction=1.0)[0], {"top1": 43.0})
    cells = [cell for cell in make(name, store).cells if cell.mean is None]
    assert cells
    assert all(cell.sd is None and cell.delta is None and cell.numbers == [] for cell in cells)
    assert all("43" in text and "nan" not in text.lower() for text in everything(make(name, store)).values())
