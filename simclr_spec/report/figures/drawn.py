"""Figures of a table as SVG and PNG."""

from __future__ import annotations

from pathlib import Path

from simclr_spec.language.figure import Figure
from simclr_spec.language.report import slug
from simclr_spec.report.figures import axes, bars, diagram, lines, page, points, said
from simclr_spec.report.figures.page import Page
from simclr_spec.report.table import Table


def svg(table: Table, figure: Figure) -> str:
    """A `<svg>` element, alone or within HTML; see figures/page.py."""
    return page.svg(_page(table, figure))


def png(table: Table, figure: Figure) -> bytes:
    """200 dots to an inch, on white."""
    return page.png(_page(table, figure))


def _page(table: Table, figure: Figure) -> Page:
    name = f"{slug(Path(table.name).stem)}-{table.report.figures.index(figure) + 1}"
    return _diagram(table, figure, name) if figure.kind == "diagram" else _plot(table, figure, name)


def _plot(table: Table, figure: Figure, name: str) -> Page:
    shown = points.drawing(table, figure)
    paint = bars.paint if figure.kind == "bars" else lines.paint
    return Page(
        name=name,
        title=figure.title,
        described=said.described(shown),
        small=said.small(table, shown),
        width=axes.width(shown),
        height=bars.height(shown) if figure.kind == "bars" else axes.HEIGHT,
        paint=lambda canvas: paint(canvas, shown),
    )


def _diagram(table: Table, figure: Figure, name: str) -> Page:
    found = diagram.stages(table.plan)
    return Page(
        name=name,
        title=figure.title,
        described=found.described,
        small=(" · ".join(table.subtitle), said.below(table)),
        width=diagram.width(found),
        height=diagram.height(found),
        paint=lambda canvas: diagram.paint(canvas, found),
    )
