"""Where a table goes, and in which format."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from simclr_spec.core.errors import UsageError
from simclr_spec.core.files import write_output
from simclr_spec.report import terminal
from simclr_spec.report.formats import table as plain
from simclr_spec.report.formats.registry import SUFFIXES, render
from simclr_spec.report.table import Table

NAMES = {suffix: name for name, suffix in SUFFIXES.items()}


def format_of(form: str | None, output: str | None) -> str:
    """The format asked for, else that of the file's extension, else the table. Raises UsageError for an unknown extension."""
    if form is None and output is not None:
        form = NAMES.get(Path(output).suffix)
        if form is None:
            raise UsageError(f"{output}: name one of {' '.join(NAMES)}, or say --format")
    return form or "table"


def write(table: Table, form: str, output: str | None) -> None:
    """To the file, and tell so; or to standard output: in colour where that is a terminal."""
    if output is not None:
        write_output(output, render(form, table))
        measured = [cell for cell in table.cells if cell.measured]
        filled = sum(cell.complete for cell in measured)
        written = f"{output}: {filled} of {len(measured)} cells, {table.finished} of {len(table.states)} runs"
        print(written, file=sys.stdout if os.path.isfile(output) else sys.stderr)  # elsewhere the table may stand there itself
    elif form == "table" and sys.stdout.isatty():
        terminal.print_table(table, sys.stdout)
    elif form == "table":
        columns = os.environ.get("COLUMNS", "")
        sys.stdout.write(plain.render(table, int(columns) if columns.isdigit() else None))
    else:
        sys.stdout.write(render(form, table))
