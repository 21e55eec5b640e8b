"""Cells in words, and the formats that are plain text: terminal, Markdown, CSV, JSON."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from typing import Any

from simclr_spec.report.cells import Cell
from simclr_spec.report.notes import Note
from simclr_spec.report.table import Table

PLAIN_WIDTH = 120
"""Characters to a line of notes where no terminal says how many."""
SIGNS = {"match": "✓", "off": "off", "deviates": "deviates", "missing": ""}


def number(cell: Cell) -> str:
    """`61.2 ± 5.0 (4)`: mean, sample sd and n over seeds; what is missing is told by its state, never by a number."""
    if cell.adopted is not None:
        return f"{cell.adopted:.{decimals(cell)}f} adopted"
    if not cell.steps:
        return "–"
    states = ", ".join(state if count == 1 else f"{count} {state}" for state, count in missing(cell).items())
    if cell.mean is None:
        return states
    spread = "" if cell.sd is None else f" ± {cell.sd:.{decimals(cell)}f}"
    n = str(len(cell.numbers)) if cell.complete else f"{len(cell.numbers)} of {len(cell.steps)}, {states}"
    return f"{cell.mean:.{decimals(cell)}f}{spread} ({n})"


def decimals(cell: Cell) -> int:
    """Percentages have one, losses three."""
    return 3 if "loss" in cell.metric else 1


def missing(cell: Cell) -> Counter[str]:
    """How many Steps of the cell have no number, by state."""
    return Counter(value.state for value in cell.values if value.number is None)


def beside(cell: Cell) -> str:
    """`paper 57.9 +0.3 ✓`, or nothing without a paper's value."""
    if cell.paper is None:
        return ""
    delta = "" if cell.delta is None else f" {cell.delta:+.{decimals(cell)}f}"
    sign = SIGNS[cell.verdict] if cell.verdict else ""
    return f"paper {cell.paper:.{decimals(cell)}f}{delta} {sign}".rstrip()


def lines(cell: Cell | None) -> list[str]:
    """One line, or two where the paper's value stands below ours."""
    return [] if cell is None else [line for line in (number(cell), beside(cell)) if line]


def heading(table: Table, i: int) -> list[str]:
    """The row's title; at the paper's scale also the paper's parameter count, beside its accuracies."""
    row = table.report.rows[i]
    return [row.title] + ([f"paper {row.parameters:g} M"] if row.parameters and table.at_paper_scale else [])


def plain(table: Table) -> str:
    """Aligned columns for files and pipes."""
    body = [[heading(table, i), *map(lines, cells)] for i, cells in enumerate(table.rows)]
    grid = [[[""], *([column.title] for column in table.report.columns)], *body]
    widths = [max(len(line) for row in grid for line in row[i] or [""]) for i in range(len(grid[0]))]
    out = [table.report.title, " · ".join(table.subtitle), ""]
    for row in grid:
        for k in range(max(len(cell) for cell in row)):
            parts = [cell[k] if k < len(cell) else "" for cell in row]
            out.append("  ".join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip())
    out.append("")
    width = max(len(note.name) for note in table.notes) + 2
    for note in table.notes:
        for k, line in enumerate(note_lines(note, PLAIN_WIDTH - width)):
            out.append(f"{'' if k else note.name:{width}}{line}")
    return "\n".join(out) + "\n"


def note_lines(note: Note, width: int) -> list[str]:
    """A note of groups as one paragraph per group, wrapped between items; any other note as one line (commands stay whole)."""
    if not note.groups:
        return [note.text]
    out = []
    for stages, items in note.groups:
        out.append(f"{stages}:")
        for item in [*(f"{item} ·" for item in items[:-1]), items[-1]]:
            if len(out[-1]) + 1 + len(item) > width:
                out.append(" ")
            out[-1] += f" {item}"
    return out


def markdown(table: Table) -> str:
    """A pipe table; `|` and other signs of Markdown are escaped."""

    def row(parts: list[str]) -> str:
        return "| " + " | ".join(parts) + " |"

    heads = ["", *(_md(column.title) for column in table.report.columns)]
    out = [
        f"**{_md(table.report.title)}**",
        "",
        _md(" · ".join(table.subtitle)),
        "",
        row(heads),
        row(["---", *["---:"] * (len(heads) - 1)]),
    ]
    for i, cells in enumerate(table.rows):
        out.append(row(["<br>".join(map(_md, part)) for part in (heading(table, i), *map(lines, cells))]))
    out.append("")
    for note in table.notes:
        text = " · ".join(f"`{item}`" for item in note.items) if note.name == "Next" else _md(note.text)
        out.append(f"- **{note.name}:** {text}")
    return "\n".join(out) + "\n"


def _md(text: str) -> str:
    for sign in "\\`*_|<>[]":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("\n", " ")


def as_csv(table: Table) -> str:
    """One line per cell; the setting, deviations and assumptions stand in every line, so that none travels without them."""
    out = io.StringIO()
    names = ["row", "column", "metric", "state", "n", "of", "mean", "sd", "adopted", "paper", "delta", "verdict", "steps"]
    below = {note.name.lower().replace(" ", "_"): note.text for note in table.notes if note.name != "Next"}
    writer = csv.DictWriter(out, [*names, "setting", *below])
    writer.writeheader()
    for cell in table.cells:
        told = cell_data(cell)
        line = {name: told[name] for name in names if name != "steps"} | {
            "steps": " ".join(step["id"] for step in told["steps"])
        }
        writer.writerow(line | {"setting": " · ".join(table.subtitle)} | below)
    return out.getvalue()


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
        else ", ".join(missing(cell)),
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
                "seed": v.step.coordinates["seed"],
                "state": v.state,
                "value": v.number,
            }
            for v in cell.values
        ],
    }


def as_json(table: Table) -> str:
    """Everything in full precision."""
    value = {
        "title": table.report.title,
        "spec": table.report.spec,
        "scale": table.plan.scale,
        "setting": list(table.subtitle),
        "columns": [column.title for column in table.report.columns],
        "rows": [row.title for row in table.report.rows],
        "cells": [cell_data(cell) for cell in table.cells],
        **{note.name.lower().replace(" ", "_"): list(note.items) for note in table.notes},
    }
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
