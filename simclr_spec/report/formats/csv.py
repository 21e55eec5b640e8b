"""CSV: a line for each cell."""

from __future__ import annotations

import csv
import io
from typing import Any

from simclr_spec.report.data import cell_data, key_of
from simclr_spec.report.table import Table


def render(table: Table) -> str:
    """One line per cell, each with the setting; what stands below the table stands in the last columns of the first line."""
    out = io.StringIO()
    below = {key_of(note): note.text for note in table.notes if note.name not in ("Next", "Missing")}
    setting = {"setting": " · ".join(table.subtitle)}
    lines = [_line(cell_data(table, cell)) | setting for cell in table.cells] or [setting]
    writer = csv.DictWriter(out, [*lines[0], *below])
    writer.writeheader()
    writer.writerows([lines[0] | below, *lines[1:]])
    return out.getvalue()


def _line(data: dict[str, Any]) -> dict[str, Any]:
    """What a cell has several of stands in one field, parted by spaces."""
    lists = {"steps": [step["id"] for step in data["steps"]]} | {key: data[key] for key in ("train_steps", "images_seen")}
    return data | {key: " ".join(map(str, values)) for key, values in lists.items()}
