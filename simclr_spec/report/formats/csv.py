"""CSV: a line for each cell."""

from __future__ import annotations

import csv
import io

from simclr_spec.report.data import cell_data, key_of
from simclr_spec.report.table import Table


def render(table: Table) -> str:
    """One line per cell, each with the setting; what stands below the table stands in the last columns of the first line."""
    out = io.StringIO()
    names = ["row", "column", "metric", "state", "n", "of", "mean", "sd", "adopted", "paper", "delta", "verdict", "steps"]
    below = {key_of(note): note.text for note in table.notes if note.name not in ("Next", "Missing")}
    writer = csv.DictWriter(out, [*names, "setting", *below])
    writer.writeheader()
    for number, cell in enumerate(table.cells):
        data = cell_data(cell)
        line = {name: data[name] for name in names if name != "steps"} | {
            "steps": " ".join(step["id"] for step in data["steps"])
        }
        writer.writerow(line | {"setting": " · ".join(table.subtitle)} | ({} if number else below))
    return out.getvalue()
