"""Cells and notes as data, for the formats that programs read."""

from __future__ import annotations

from typing import Any

from simclr_spec.report.cells import Cell
from simclr_spec.report.notes import Note
from simclr_spec.report.text import without_number


def key_of(note: Note) -> str:
    return note.name.lower().replace(" ", "_")


def cell_data(cell: Cell) -> dict[str, Any]:
    """A cell in full precision, down to its Steps."""
    return {
        "row": cell.row.title,
        "column": cell.column.title,
        "metric": cell.metric,
        "state": "adopted"
        if cell.adopted is not None
        else "done"
        if cell.complete and cell.steps
        else ", ".join(without_number(cell)),
        "n": len(cell.numbers),
        "of": len(cell.steps),
        "mean": cell.mean,
        "sd": cell.sd,
        "adopted": cell.adopted,
        "paper": cell.paper,
        "delta": cell.delta,
        "verdict": cell.verdict,
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
