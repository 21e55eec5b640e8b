"""The table on a terminal, in colour and wrapped to its width."""

from __future__ import annotations

from typing import IO

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from simclr_spec.report.cells import Cell
from simclr_spec.report.table import Table
from simclr_spec.report.text import heading, lines, note_lines

WIDEST = 10_000
STYLES = {"match": "green", "off": "red", "deviates": "yellow", "missing": ""}


def show(table: Table, file: IO[str]) -> None:
    console = Console(file=file, highlight=False)
    console.print(Text(table.report.title, style="bold"), Text(" · ".join(table.subtitle)), sep="\n")
    grid = RichTable(box=None, header_style="bold", padding=(0, 2, 0, 0))
    grid.add_column("")
    for column in table.report.columns:
        grid.add_column(Text(column.title), justify="right", no_wrap=True)
    for i, cells in enumerate(table.rows):
        grid.add_row(Text("\n".join(heading(table, i))), *map(_cell, cells))
    needed = console.measure(grid, options=console.options.update(max_width=WIDEST)).maximum
    # A terminal that is too narrow breaks lines; no title and no number is cut.
    Console(file=file, highlight=False, width=max(needed, console.width)).print(grid)
    below = RichTable.grid(padding=(0, 2, 0, 0))
    width = console.width - max(len(note.name) for note in table.notes) - 2
    for note in table.notes:
        body = Text("\n".join(note_lines(note, width)), style="red" if "MIXED" in note.text else "")
        below.add_row(Text(note.name, style="bold"), body)
    console.print(below)


def _cell(cell: Cell | None) -> Text:
    if cell is None:
        return Text("")
    first, *second = lines(cell)
    colour = "red" if "failed" in first or "stale" in first else "dim" if cell.mean is None else ""
    text = Text(first, style=colour)
    return text.append("\n" + second[0], style=STYLES[cell.verdict or "missing"]) if second else text
