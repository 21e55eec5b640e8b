"""The table on a terminal, in colour and within its width."""

from __future__ import annotations

from typing import IO

from rich.console import Console
from rich.text import Text

from simclr_spec.report.lines import table_lines
from simclr_spec.report.table import Table


def print_table(table: Table, file: IO[str]) -> None:
    console = Console(file=file, highlight=False)
    for line in table_lines(table, console.width, right=True):
        console.print(Text.assemble(*line), soft_wrap=True)
