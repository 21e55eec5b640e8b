"""LaTeX and HTML: whole tables with everything escaped."""

from __future__ import annotations

from html import escape

from simclr_spec.report.table import Table
from simclr_spec.report.text import heading, lines

_TEX = {
    "\\": r"\textbackslash{}",
    "[": "{[}",  # after a line's end, these two would be its arguments
    "*": "{*}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "≠": r"$\neq$",
    "×": r"$\times$",
    "√": r"$\surd$",
    "·": r"$\cdot$",
    "✓": r"$\surd$",
    "✗": r"$\times$",
    "–": "--",
    "…": r"\dots{}",
    "§": r"\S{}",
    "τ": r"$\tau$",
    "α": r"$\alpha$",
}

_STYLE = """
body { font: 16px sans-serif }
table { border-collapse: collapse }
th, td { padding: .3em .8em; text-align: right }
tr > th:first-child { text-align: left }
"""


def tex(text: str) -> str:
    return "".join(_TEX.get(sign, sign) for sign in text).replace("--", "-{}-")  # which would be a dash


def latex(table: Table) -> str:
    """A table environment that needs no package."""
    heads = ["", *(tex(column.title) for column in table.report.columns)]
    body = [
        [_stack(heading(table, i), "l"), *(_stack(lines(cell), "r") for cell in cells)] for i, cells in enumerate(table.rows)
    ]
    out = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{tex(table.report.title)}. {tex(' · '.join(table.subtitle))}.}}",
        rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
        r"\hline",
        " & ".join(heads) + r" \\",
        r"\hline",
        *(" & ".join(row) + r" \\" for row in body),
        r"\hline",
        r"\end{tabular}",
        "",
        *(rf"\par\footnotesize\textbf{{{tex(note.name)}}} {tex(note.text)}" for note in table.notes),
        r"\end{table}",
    ]
    return "\n".join(out) + "\n"


def _stack(parts: list[str], side: str) -> str:
    told = r"\\".join(map(tex, parts))
    return told if len(parts) < 2 else rf"\shortstack[{side}]{{{told}}}"


def html(table: Table) -> str:
    """A page of its own without scripts."""
    heads = "".join(f"<th>{escape(column.title)}</th>" for column in table.report.columns)
    body = "".join(
        f"<tr><th>{_lines(heading(table, i))}</th>{''.join(f'<td>{_lines(lines(cell))}</td>' for cell in cells)}</tr>\n"
        for i, cells in enumerate(table.rows)
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
