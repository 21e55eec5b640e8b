"""What a selector leaves of a report: rows and cells, and what its figures compare these with."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from simclr_spec.core.errors import UsageError
from simclr_spec.language.coordinates import Selector
from simclr_spec.language.report import Report
from simclr_spec.plan import Step
from simclr_spec.report.cells import Cell

Rows = list[list[Cell | None]]


def narrowed(report: Report, rows: Rows, chosen: Sequence[Step], selector: Selector) -> tuple[Report, Rows]:
    """Rows in which the selector chose a Step, and their cells of such Steps; what needs no run stays whole.

    Raises UsageError where no row is left."""
    fingerprints = {step.fingerprint for step in chosen}
    narrow = [[cell and _of(cell, fingerprints) for cell in row] for row in rows]
    kept = [i for i, row in enumerate(narrow) if any(row)]
    if not kept:
        raise UsageError(f"no cell of this report shows a Step with {selector}")
    whole = [[_left(cell, left) for cell, left in zip(rows[i], narrow[i], strict=True)] for i in kept]
    return replace(report, rows=tuple(report.rows[i] for i in kept)), whole


def _left(cell: Cell | None, narrow: Cell | None) -> Cell | None:
    return cell if cell and (cell.planned or cell.adopted is not None) else narrow


def _of(cell: Cell, fingerprints: AbstractSet[str]) -> Cell | None:
    """The cell with these Steps only; None where there is none."""
    steps = tuple(step for step in cell.steps if step.fingerprint in fingerprints)
    return replace(cell, steps=steps) if steps else None


def compared(report: Report, rows: Rows, shown: Rows) -> tuple[Cell, ...]:
    """Of all rows, the cells that figures compare the shown ones with: levels, and those that gains are over."""
    levels = {(panel.level.row, panel.level.column) for figure in report.figures for panel in figure.panels if panel.level}
    bases = {figure.relative_to for figure in report.figures}
    columns = {cell.column.title for row in shown for cell in row if cell} | {column for _, column in levels}
    cells = [cell for row in rows for cell in row if cell]
    return tuple(
        cell
        for cell in cells
        if (cell.row.title, cell.column.title) in levels or (cell.row.title in bases and cell.column.title in columns)
    )
