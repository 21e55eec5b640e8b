"""Where a table goes, and in which format."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from simclr_spec.core.errors import UsageError
from simclr_spec.core.files import write_output
from simclr_spec.report import terminal
from simclr_spec.report.formats import table as plain
from simclr_spec.report.formats.registry import SUFFIXES, files
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
        found = files(form, table, output)
        for file, content in found.items():
            write_output(file, content)
        written = f"{', '.join(found)}: {table.filled}, {table.finished} of {len(table.states)} runs"
        to_file = all(map(os.path.isfile, found))
        print(written, file=sys.stdout if to_file else sys.stderr)  # elsewhere the table may stand there itself
    elif form == "table" and sys.stdout.isatty():
        terminal.print_table(table, sys.stdout)
    elif form == "table":
        columns = os.environ.get("COLUMNS", "")
        sys.stdout.write(plain.render(table, int(columns) if columns.isdigit() else None))
    else:
        file = Path(table.name).stem + SUFFIXES[form]
        show(files(form, table, file), file)


def show(found: Mapping[str, str | bytes], file: str) -> None:
    """To standard output what would be the file. Raises UsageError where it would be several, or a picture on a terminal."""
    if len(found) > 1:
        raise UsageError(f"{len(found)} figures are as many files: name them, as in -o {file}")
    for content in found.values():
        if isinstance(content, str):
            sys.stdout.write(content)
        elif sys.stdout.isatty():
            raise UsageError(f"a picture is nothing for a terminal: name a file, as in -o {file}")
        else:
            sys.stdout.buffer.write(content)
