"""HTML: a page of its own with everything escaped."""

from __future__ import annotations

from html import escape

from simclr_spec.report.table import Table
from simclr_spec.report.text import cell_lines

_STYLE = """
body { font: 16px sans-serif }
table { border-collapse: collapse }
th, td { padding: .3em .8em; text-align: right }
tr > th:first-child { text-align: left }
"""


def render(table: Table) -> str:
    """A page of its own without scripts."""
    heads = "".join(f"<th>{escape(column.title)}</th>" for column in table.report.columns)
    body = "".join(
        f"<tr><th>{escape(row.title)}</th>{''.join(f'<td>{_lines(cell_lines(cell))}</td>' for cell in cells)}</tr>\n"
        for row, cells in zip(table.report.rows, table.rows, strict=True)
    )
    below = "".join(f"<p><b>{escape(note.name)}</b> {escape(note.text)}</p>\n" for note in table.notes)
    title = escape(table.report.title)
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>\n'
        f"<h1>{title}</h1>\n<p>{escape(' · '.join(table.subtitle))}</p>\n"
        f"<table>\n<tr><th></th>{heads}</tr>\n{body}</table>\n{below}</html>\n"
    )


def _lines(parts: list[str]) -> str:
    return "<br>".join(map(escape, parts))
