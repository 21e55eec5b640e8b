"""A whole report in lines of styled parts, for files of plain text and for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from shlex import quote, split

from simclr_spec.core.words import counted
from simclr_spec.report.cells import Cell
from simclr_spec.report.layout import Line, fold, laid_out
from simclr_spec.report.notes import Note
from simclr_spec.report.table import Table
from simclr_spec.report.text import cell_lines

PLAIN_WIDTH = 120
"""Characters to a line of notes where no terminal says how many."""
UNLIMITED = 10_000
STYLES = {"match": "green", "off": "red", "deviates": "yellow", "undecided": "yellow", "unjudged": "", "missing": ""}
ALARMING = ("failed", "stale")
"""States in red."""


def table_lines(table: Table, width: int | None, *, right: bool) -> Iterator[list[Line]]:
    """The whole report in lines of styled parts. A table without any result is told in a sentence."""
    yield from ([(line, "bold")] for line in fold(table.report.title, width or PLAIN_WIDTH))
    yield from ([(line, "")] for line in fold(" · ".join(table.subtitle), width or UNLIMITED))
    yield []
    if table.is_empty:
        yield from ([(line, "")] for line in fold(nothing_yet(table), width or PLAIN_WIDTH))
    elif table.rows:
        yield from laid_out(_grid(table), width, right=right)
    yield from [[]] if table.is_empty or table.rows else []
    notes = shortened(table) if table.is_empty else table.notes
    margin = max(len(note.name) for note in notes) + 2
    for note in notes:
        for k, line in enumerate(note_lines(note, (width or PLAIN_WIDTH) - margin)):
            yield [(f"{'' if k else note.name:{margin}}", "bold"), (line, "red" if "MIXED" in note.text else "")]


def nothing_yet(table: Table) -> str:
    counts = Counter(table.states.values())
    states = ", ".join(f"{count:,} {state}" for state, count in counts.items())
    return f"No result yet: {states} of {counted(len(table.states), 'Step')}."


def shortened(table: Table) -> list[Note]:
    """Where no number stands that could be taken for the paper's, a count of deviations and assumptions is enough."""
    lists = f"simclr-spec explain {table.plan.arguments} lists them"
    found = []
    for note in table.notes:
        if note.name in ("Deviations", "Assumptions"):
            found.append(Note(note.name, (f"in {counted(len(note.items), 'field')}: {lists}",)) if note.groups else note)
        elif note.name == "Weights":
            found.append(note)
        elif note.name == "Next":
            found.append(Note(note.name, (f"simclr-spec plan {table.plan.arguments}{table.store.option}", *note.items)))
    return found


def _grid(table: Table) -> list[list[list[Line]]]:
    heads: list[list[Line]] = [[(title, "bold")] for title in ("", *(column.title for column in table.report.columns))]
    body = [[[(line, "") for line in [table.report.rows[i].title]], *map(_styled, cells)] for i, cells in enumerate(table.rows)]
    return [heads, *body]


def _styled(cell: Cell | None) -> list[Line]:
    if cell is None:
        return []
    first, *second = cell_lines(cell)
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
    """Broken between words, as a shell lets it be: one that is quoted stays whole."""
    words = (quote(word).replace(" ", "\0") for word in split(text))
    first, *rest = (line.replace("\0", " ") for line in fold(" ".join(words), width - 4))
    return [line + " \\" * (k < len(rest)) for k, line in enumerate([first, *(f"  {line}" for line in rest)])]
