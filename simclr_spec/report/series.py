"""Which cells a series of a figure has, and the faults of series, bases and levels without any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from simclr_spec.core.errors import Fault
from simclr_spec.language.coordinates import as_selector
from simclr_spec.language.document import Document
from simclr_spec.language.figure import Figure, Series
from simclr_spec.language.report import Report
from simclr_spec.report.cells import Cell


def has(series: Series, cell: Cell) -> bool:
    """Literature has no coordinates."""
    if cell.column.title != series.column:
        return False
    if series.rows:
        return cell.row.title in series.rows
    return not series.where or (bool(cell.steps) and all(step.matches(series.where) for step in cell.steps))


def coordinates_of(cell: Cell) -> list[Mapping[str, Any]]:
    """Its column's first, then its row's, then a Step's."""
    return [cell.column.where, cell.row.where or {}, *(step.coordinates for step in cell.steps[:1])]


def faults(report: Report, source: Document, rows: Sequence[Sequence[Cell | None]]) -> Iterator[Fault]:
    """Every series of which nothing would be drawn."""
    cells = [cell for row in rows for cell in row if cell]
    columns = [column.title for column in report.columns]
    for i, figure in enumerate(report.figures):
        placed = [cell.row.title for cell in cells if cell.column.title == figure.x] if figure.x in columns else None
        yield from _uncompared(figure, source, i, cells)
        for j, panel in enumerate(figure.panels):
            for k, series in enumerate(panel.series):
                own = [cell for cell in cells if has(series, cell)]
                at = ("figures", i, "panels", j, "series", k, "rows" if series.rows else "where" if series.where else "column")
                if not own:
                    yield source.fault(
                        at, f"no cell in column {series.column!r} is in the series {series.title!r}{_hint(series)}"
                    )
                elif figure.x and not any(_is_along(figure, cell, placed) for cell in own):
                    yield source.fault(at, f"no row of the series {series.title!r} has a value of {figure.x!r}, along x")


def _uncompared(figure: Figure, source: Document, i: int, cells: Sequence[Cell]) -> Iterator[Fault]:
    """A base of gains without Steps, and levels that are no cells."""
    if figure.relative_to and not any(cell.row.title == figure.relative_to and cell.steps for cell in cells):
        yield source.fault(("figures", i, "relative_to"), f"row {figure.relative_to!r} has no Steps that gains could be over")
    known = {(cell.row.title, cell.column.title) for cell in cells}
    for j, panel in enumerate(figure.panels):
        if (level := panel.level) and (level.row, level.column) not in known:
            at = ("figures", i, "panels", j, "level", "column")
            yield source.fault(at, f"row {level.row!r} has no cell in column {level.column!r}")


def _hint(series: Series) -> str:
    return f": none has {as_selector(series.where)}" if series.where and not series.rows else ""


def _is_along(figure: Figure, cell: Cell, placed: Sequence[str] | None) -> bool:
    """Whether it has a place along x; `placed`: rows that have a cell in that column, where it is one."""
    if placed is not None:
        return cell.row.title in placed
    return any(figure.x in where for where in coordinates_of(cell))
