"""Cells and notes as data, for the formats that programs read."""

from __future__ import annotations

from typing import Any

from simclr_spec.language.report import OPEN
from simclr_spec.report.cells import Cell, quantity
from simclr_spec.report.notes import Note
from simclr_spec.report.table import Table
from simclr_spec.report.text import without_number


def key_of(note: Note) -> str:
    return note.name.lower().replace(" ", "_")


def cell_data(table: Table, cell: Cell) -> dict[str, Any]:
    """A cell in full precision, down to its Steps; `paper` is "open" where its value is not known."""
    return {
        "cell": f"{table.name}/{cell.address}",
        "row": cell.row.title,
        "column": cell.column.title,
        "metric": cell.metric,
        "state": _state(cell),
        "n": len(cell.numbers),
        "of": len(cell.steps),
        "mean": cell.mean,
        "sd": cell.sd,
        "adopted": cell.adopted,
        "paper": OPEN if cell.open else None if cell.elsewhere else cell.paper,
        "elsewhere": cell.paper if cell.elsewhere else None,
        "source": cell.source or None,
        "delta": cell.delta,
        "verdict": cell.verdict,
        "train_steps": _quantities(cell, "train_steps"),
        "images_seen": _quantities(cell, "images_seen"),
        "steps": [
            {
                "id": v.step.id,
                "fingerprint": v.step.fingerprint,
                "seed": v.step.coordinates.get("seed"),
                "state": v.state,
                "value": v.number,
            }
            for v in cell.values
        ],
    }


def _state(cell: Cell) -> str:
    if not cell.steps:
        return "adopted" if cell.adopted is not None else "none"
    if not cell.complete:
        return ", ".join(without_number(cell))
    return "planned" if cell.planned else "done"


def _quantities(cell: Cell, name: str) -> list[float]:
    """Each value that its trainings have: one, unless they differ."""
    return sorted({value for step in cell.steps if (value := quantity(step, name)) is not None})
