"""Cells in words, the same in every format."""

from __future__ import annotations

from collections import Counter

from simclr_spec.core.words import amount, fixed, number
from simclr_spec.report.cells import Cell
from simclr_spec.report.reading import ADOPTED
from simclr_spec.report.table import begun

ROUNDING = 10
"""From so many millions on, parameters are whole numbers, as in the paper."""
NOTHING = "–"
"""In a cell without Steps, or none of whose Steps was begun: the note `Missing` counts these."""
SIGNS = {"match": "✓", "missing": ""}
"""Other verdicts are words."""


def measured(cell: Cell) -> str:
    """`61.2 ± 5.0 (4)`: mean, sample sd and n over seeds; what is missing is told by its state, never by a number.

    `25.4†` is adopted from a publication: the note Sources says from which."""
    if cell.adopted is not None:
        return fixed(cell.adopted, places(cell)) + ADOPTED
    if cell.planned:
        return NOTHING if cell.mean is None else _counted(cell.mean)
    if not begun(cell):
        return NOTHING
    states = ", ".join(state if count == 1 else f"{count} {state}" for state, count in without_number(cell).items())
    if cell.mean is None:
        return states
    spread = "" if cell.sd is None else f" ± {fixed(cell.sd, places(cell))}"
    n = str(len(cell.numbers)) if cell.complete else f"{len(cell.numbers)} of {len(cell.steps)}, {states}"
    return f"{fixed(cell.mean, places(cell))}{spread} ({n})"


def _counted(value: float) -> str:
    """`24`, `0.38`, `250,228`."""
    return number(value) if value == round(value) else fixed(value, 0) if value >= ROUNDING else amount(value)


def places(cell: Cell) -> int:
    """Counts of the paper are whole."""
    return 0 if cell.planned else decimals(cell.metric)


def decimals(metric: str) -> int:
    """Percentages have one, losses three."""
    return 3 if "loss" in metric else 1


def without_number(cell: Cell) -> Counter[str]:
    """How many Steps of the cell have no number, by state."""
    return Counter(value.state for value in cell.values if value.number is None)


def of_the_paper(cell: Cell) -> str:
    """`paper 57.9, +0.3 ✓`, `elsewhere 71.1, +0.3 unjudged`, or nothing without such a value."""
    if cell.open:
        return "paper open"
    if cell.paper is None:
        return ""
    delta = "" if cell.delta is None else f", {fixed(cell.delta, places(cell), sign=True)}"
    sign = SIGNS.get(cell.verdict, cell.verdict) if cell.verdict else ""
    if cell.planned:
        return f"{cell.whose} {fixed(cell.paper, 0)} {sign}"
    return f"{cell.whose} {fixed(cell.paper, places(cell))}{delta} {sign}".rstrip()


def cell_lines(cell: Cell | None) -> list[str]:
    """One line, or two where the paper's value stands below ours."""
    return [] if cell is None else [line for line in (measured(cell), of_the_paper(cell)) if line]
