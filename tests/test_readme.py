"""README's table and prose agree with each other and with the report; benchmarks/quickstart.py holds them against real runs."""

from __future__ import annotations

import pytest

from benchmarks.quickstart import README, SENTENCES, published
from simclr_spec.language.report import load
from simclr_spec.plan import compile
from simclr_spec.report.select import select


def test_readmes_table_has_the_cells_of_the_report() -> None:
    report, source = load("quickstart")
    rows = select(report, source, compile(["quickstart"]))
    assert list(published()) == [(cell.row.title, cell.column.title) for row in rows for cell in row if cell]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_what_readme_says_is_true_in_its_own_table(sentence: str) -> None:
    assert sentence in " ".join(README.read_text(encoding="utf-8").split())
    assert SENTENCES[sentence]({cell: mean for cell, (mean, _) in published().items()})
