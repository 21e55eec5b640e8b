"""SVG: a figure of the table, with its deviations and assumptions counted below."""

from __future__ import annotations

from simclr_spec.language.figure import Figure
from simclr_spec.report.figures.drawn import svg
from simclr_spec.report.table import Table


def render(table: Table, figure: Figure) -> str:
    """A `<svg>` element."""
    return svg(table, figure) + "\n"
