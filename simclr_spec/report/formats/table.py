"""Plain text in aligned columns."""

from __future__ import annotations

from simclr_spec.report.lines import table_lines
from simclr_spec.report.table import Table


def render(table: Table, width: int | None = None) -> str:
    """Within `width` where it is given."""
    return "".join("".join(text for text, _ in line).rstrip() + "\n" for line in table_lines(table, width, right=False))
