"""LaTeX: a table environment with booktabs' rules, everything escaped."""

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
    "†": r"$\dagger$",
    "τ": r"$\tau$",
    "α": r"$\alpha$",
}


def _tex(text: str) -> str:
    return "".join(_TEX.get(sign, sign) for sign in text).replace("--", "-{}-")  # which would be a dash


def render(table: Table) -> str:
    """A table environment; the paper's value stands small below ours. Of a diagram there is what stands below it."""
    out = [
        r"% in the preamble: \usepackage{booktabs,graphicx}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_tex(table.report.title)} ({_tex(' · '.join(table.subtitle))})}}",
        *(_grid(table) if table.rows else ()),
        r"\raggedright\scriptsize",
        *(rf"\par\textbf{{{_tex(note.name)}}} {_tex(note.text)}" for note in table.notes),
        r"\end{table}",
    ]
    return "\n".join(out) + "\n"


def _grid(table: Table) -> list[str]:
    heads = ["", *(_tex(column.title) for column in table.report.columns)]
    body = [
        [_tex(row.title), *(_stack(cell_lines(cell)) for cell in cells)]
        for row, cells in zip(table.report.rows, table.rows, strict=True)
    ]
    return [
        r"\small\setlength{\tabcolsep}{4pt}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
        r"\toprule",
        " & ".join(heads) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in body),
        r"\bottomrule",
        r"\end{tabular}}",
        "",
    ]


def _stack(lines: list[str]) -> str:
    """The first line stands beside the row's title."""
    ours, *paper = lines or [""]
    small = [rf"\scriptsize {_tex(part)}" for line in paper for part in line.split(", ")]
    stacked = r" \\ ".join([_tex(ours), *small])
    return rf"\begin{{tabular}}[t]{{@{{}}r@{{}}}}{stacked}\end{{tabular}}" if small else _tex(ours)
