"""LaTeX: a table environment with everything escaped."""

from __future__ import annotations

from simclr_spec.report.table import Table
from simclr_spec.report.text import cell_lines

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
    "–": r"\textendash{}",
    "…": r"\dots{}",
    "§": r"\S{}",
    "τ": r"$\tau$",
    "α": r"$\alpha$",
}


def _tex(text: str) -> str:
    return "".join(_TEX.get(sign, sign) for sign in text).replace("--", "-{}-")  # which would be a dash


def render(table: Table) -> str:
    """A table environment that needs no package."""
    heads = ["", *(_tex(column.title) for column in table.report.columns)]
    body = [
        [_stack([table.report.rows[i].title], "l"), *(_stack(cell_lines(cell), "r") for cell in cells)]
        for i, cells in enumerate(table.rows)
    ]
    out = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_tex(table.report.title)}. {_tex(' · '.join(table.subtitle))}.}}",
        rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
        r"\hline",
        " & ".join(heads) + r" \\",
        r"\hline",
        *(" & ".join(row) + r" \\" for row in body),
        r"\hline",
        r"\end{tabular}",
        "",
        *(rf"\par\footnotesize\textbf{{{_tex(note.name)}}} {_tex(note.text)}" for note in table.notes),
        r"\end{table}",
    ]
    return "\n".join(out) + "\n"


def _stack(parts: list[str], side: str) -> str:
    stacked = r"\\".join(map(_tex, parts))
    return stacked if len(parts) < 2 else rf"\shortstack[{side}]{{{stacked}}}"
