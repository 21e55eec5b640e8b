"""Markdown: a pipe table."""

from __future__ import annotations

from simclr_spec.report.table import Table
from simclr_spec.report.text import cell_lines


def render(table: Table) -> str:
    """A pipe table, none of a diagram; `|` and other signs of Markdown are escaped."""

    def row(parts: list[str]) -> str:
        return "| " + " | ".join(parts) + " |"

    heads = ["", *(_escaped(column.title) for column in table.report.columns)]
    out = [
        f"**{_escaped(table.report.title)}**",
        "",
        _escaped(" · ".join(table.subtitle)),
        "",
    ]
    out += [row(heads), row(["---", *["---:"] * (len(heads) - 1)])] if table.rows else []
    for i, cells in enumerate(table.rows):
        out.append(row(["<br>".join(map(_escaped, part)) for part in ([table.report.rows[i].title], *map(cell_lines, cells))]))
    out += [""] if table.rows else []
    for note in table.notes:
        text = " · ".join(f"`{item}`" for item in note.items) if note.name == "Next" else _escaped(note.text)
        out.append(f"- **{note.name}:** {text}")
    return "\n".join(out) + "\n"


def _escaped(text: str) -> str:
    for sign in "\\`*_|<>[]":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("\n", " ")
