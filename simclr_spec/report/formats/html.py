"""HTML: one page by itself, with everything escaped; of one report, or of several."""

from __future__ import annotations

from collections.abc import Sequence

from simclr_spec.report.page.page import page as whole
from simclr_spec.report.table import Table


def render(table: Table) -> str:
    """The page of one report."""
    return whole([table], table.report.title)


def page(tables: Sequence[Table]) -> str:
    """The page of several reports."""
    return whole(tables, "Results")
