"""The formats of a report: each is the module of its name here, with `render(table) -> str`; or, of figures,
`render(table, figure) -> str | bytes`.

The command line offers what stands here, so nothing is loaded until a table is written.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from simclr_spec.core.errors import UsageError

if TYPE_CHECKING:
    from simclr_spec.report.table import Table

DRAWN = {"svg": ".svg", "png": ".png"}
"""Formats of figures -> how their files end."""
WRITTEN = {"table": ".txt", "markdown": ".md", "csv": ".csv", "json": ".json", "latex": ".tex", "html": ".html"}
"""Formats of tables."""
SUFFIXES = WRITTEN | DRAWN


def render(name: str, table: Table) -> str:
    """The table in the format of that name."""
    text: str = import_module(f"simclr_spec.report.formats.{name}").render(table)
    return text


def files(name: str, table: Table, path: str) -> dict[str, str | bytes]:
    """File -> what is written there: the table; or its figure, or PATH-1.svg, PATH-2.svg, ... of several.

    Raises UsageError where there is no figure."""
    if name not in DRAWN:
        return {path: render(name, table)}
    figures, draw = table.report.figures, import_module(f"simclr_spec.report.formats.{name}").render
    if not figures:
        raise UsageError(
            f"{table.name} has no figure to write as {DRAWN[name]}; give it one ([[figures]]), or draw its --curves"
        )
    file = Path(path)
    names = [path] if len(figures) == 1 else [str(file.with_stem(f"{file.stem}-{i + 1}")) for i in range(len(figures))]
    return {name: draw(table, figure) for name, figure in zip(names, figures, strict=True)}
