"""Cells in words, and the formats that are plain text: the table itself, Markdown, CSV, JSON."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from simclr_spec.core import words
from simclr_spec.core.words import counted
from simclr_spec.report.cells import Cell
from simclr_spec.report.layout import Line, fold, laid_out
from simclr_spec.report.notes import Note
from simclr_spec.report.table import Table, begun

PLAIN_WIDTH = 120
"""Characters to a line of notes where no terminal says how many."""
NOTHING = "–"
"""In a cell without Steps, or none of whose Steps was begun: the note `Missing` counts these."""
UNLIMITED = 10_000
STYLES = {"match": "green", "off": "red", "deviates": "yellow", "missing": ""}
ALARMING = ("failed", "stale")
"""States in red."""
SIGNS = {"match": "✓", "off": "off", "deviates": "deviates", "missing": ""}


def number(cell: Cell) -> str:
    """`61.2 ± 5.0 (4)`: mean, sample sd and n over seeds; what is missing is told by its state, never by a number."""
    if cell.adopted is not None:
        return f"{cell.adopted:.{decimals(cell)}f} adopted"
    if not begun(cell):
        return NOTHING
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
    return [row.title] + ([f"paper {words.number(row.parameters)} M"] if row.parameters and table.at_paper_scale else [])


def plain(table: Table, width: int | None = None) -> str:
    """Aligned columns for files and pipes; within `width` where it is given."""
    return "".join("".join(text for text, _ in line).rstrip() + "\n" for line in shown(table, width, right=False))


def shown(table: Table, width: int | None, *, right: bool) -> Iterator[list[Line]]:
    """The whole report in lines of styled parts. A table without any result is told in a sentence."""
    yield from ([(line, "bold")] for line in fold(table.report.title, width or PLAIN_WIDTH))
    yield from ([(line, "")] for line in fold(" · ".join(table.subtitle), width or UNLIMITED))
    yield []
    if table.is_empty:
        yield from ([(line, "")] for line in fold(_nothing_yet(table), width or PLAIN_WIDTH))
    else:
        yield from laid_out(_grid(table), width, right=right)
    yield []
    notes = _shortened(table) if table.is_empty else table.notes
    margin = max(len(note.name) for note in notes) + 2
    for note in notes:
        for k, line in enumerate(note_lines(note, (width or PLAIN_WIDTH) - margin)):
            yield [(f"{'' if k else note.name:{margin}}", "bold"), (line, "red" if "MIXED" in note.text else "")]


def _nothing_yet(table: Table) -> str:
    counts = Counter(table.states.values())
    told = ", ".join(f"{count:,} {state}" for state, count in counts.items())
    return f"No result yet: {told} of {counted(len(table.states), 'Step')}."


def _shortened(table: Table) -> list[Note]:
    """Where no number stands that could be taken for the paper's, a count of deviations and assumptions is enough."""
    lists = f"simclr-spec explain {table.plan.arguments} lists them"
    found = []
    for note in table.notes:
        if note.name in ("Deviations", "Assumptions"):
            found.append(Note(note.name, (f"in {len(note.items)} fields: {lists}",)) if note.groups else note)
        elif note.name == "Next":
            found.append(Note(note.name, (f"simclr-spec plan {table.plan.arguments}{table.store_option}", *note.items)))
    return found


def _grid(table: Table) -> list[list[list[Line]]]:
    heads: list[list[Line]] = [[(title, "bold")] for title in ("", *(column.title for column in table.report.columns))]
    body = [[[(line, "") for line in heading(table, i)], *map(_styled, cells)] for i, cells in enumerate(table.rows)]
    return [heads, *body]


def _styled(cell: Cell | None) -> list[Line]:
    if cell is None:
        return []
    first, *second = lines(cell)
    colour = "red" if any(word in first for word in ALARMING) else "dim" if cell.mean is None else ""
    return [(first, colour), *((line, STYLES[cell.verdict or "missing"]) for line in second)]


def note_lines(note: Note, width: int) -> list[str]:
    """Wrapped between items, a paragraph per group of stages; commands stand each in a line of its own, and can be copied."""
    if note.name == "Next":
        return [line for item in note.items for line in _command(item, width)]
    if not note.groups:
        return [part for line in fold(note.text, width, " · ") for part in fold(line, width)]
    out = []
    for stages, items in note.groups:
        out.append(f"{stages}:")
        for item in [*(f"{item} ·" for item in items[:-1]), items[-1]]:
            for word in [item] if len(item) + 2 <= width else item.split(" "):
                if len(out[-1]) + 1 + len(word) > width:
                    out.append(" ")
                out[-1] += f" {word}"
    return out


def _command(text: str, width: int) -> list[str]:
    """Broken as a shell lets it be."""
    first, *rest = fold(text, width - 4)
    return [line + " \\" * (k < len(rest)) for k, line in enumerate([first, *(f"  {line}" for line in rest)])]


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
    """One line per cell, each with the setting; what stands below the table stands in the last columns of the first line."""
    out = io.StringIO()
    names = ["row", "column", "metric", "state", "n", "of", "mean", "sd", "adopted", "paper", "delta", "verdict", "steps"]
    below = {_key(note): note.text for note in table.notes if note.name not in ("Next", "Missing")}
    writer = csv.DictWriter(out, [*names, "setting", *below])
    writer.writeheader()
    for number, cell in enumerate(table.cells):
        told = cell_data(cell)
        line = {name: told[name] for name in names if name != "steps"} | {
            "steps": " ".join(step["id"] for step in told["steps"])
        }
        writer.writerow(line | {"setting": " · ".join(table.subtitle)} | ({} if number else below))
    return out.getvalue()


def _key(note: Note) -> str:
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
                "seed": v.step.coordinates.get("seed"),
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
        **{_key(note): list(note.items) for note in table.notes},
    }
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
