"""PNG: a figure of the table, with its deviations and assumptions counted below."""

from __future__ import annotations

from simclr_spec.language.figure import Figure
from simclr_spec.report.figures.drawn import png
from simclr_spec.report.table import Table


def render(table: Table, figure: Figure) -> bytes:
    """200 dots to an inch."""
    return png(table, figure)
