"""The formats of a report: each is the module of its name here, with `render(table) -> str`.

The command line offers what stands here, so nothing is loaded until a table is written.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simclr_spec.report.table import Table

SUFFIXES = {"table": ".txt", "markdown": ".md", "csv": ".csv", "json": ".json", "latex": ".tex", "html": ".html"}
"""Name of the format -> how its files end."""


def render(name: str, table: Table) -> str:
    """The table in the format of that name."""
    text: str = import_module(f"simclr_spec.report.formats.{name}").render(table)
    return text
