"""Cells of a report: the Steps behind each, what these measured, and how that stands to the paper's number."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any, Literal

from simclr_spec.language.report import OPEN, Column, Report, Row
from simclr_spec.plan import Step
from simclr_spec.stages.kinds import KINDS
from simclr_spec.stages.training import QUANTITIES

Verdict = Literal["match", "off", "deviates", "undecided", "unjudged", "missing"]
"""match: as the paper says, within what the report declares. off: not. deviates: it would match, but departs from the recipe.
undecided: its seeds spread too much to say. unjudged: one training only, no rule is declared, or the number is not the paper's.
missing: not all has run."""
ROUNDED = 0.5
"""The paper prints millions of parameters as whole numbers."""
ONE_SIDED = 0.05
"""Level of each of the two tests of equivalence."""
SLACK = 1e-9
"""58.1 is 0.2 away from 57.9, although floats say more."""
Numbers = Mapping[str, Mapping[Any, float]]
"""Metric -> fingerprint -> what a finished Step measured."""


@dataclass(frozen=True)
class Value:
    """One seed's Step: its state in words, and its number when the Step is done."""

    step: Step
    state: str
    number: float | None


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell: the Steps it selects (one per chain of seeds), or a number adopted from elsewhere."""

    row: Row
    column: Column
    metric: str
    steps: tuple[Step, ...] = ()
    values: tuple[Value, ...] = ()
    paper: float | None = None
    open: bool = False
    """whether the paper has a value that is not known here"""
    elsewhere: bool = False
    """whether `paper` is not the paper's own number, but stands in its place: the row has a source of its own"""
    adopted: float | None = None
    source: str = ""
    """of the paper's or the adopted number"""
    tolerance: float | None = None
    margin: float | None = None
    deviates: bool = False
    """whether a Step departs from the recipe, itself or in an ancestor"""
    trained: bool = False
    """whether any of its weights were trained here, by a Step or in an ancestor"""

    @property
    def address(self) -> str:
        """ROW/COLUMN."""
        return f"{self.row.address}/{self.column.address}"

    @property
    def whose(self) -> str:
        """What every format calls the number of `paper`."""
        return "elsewhere" if self.elsewhere else "paper"

    @property
    def planned(self) -> bool:
        """Whether the plan knows its number, so that nothing must run for it."""
        return self.metric in QUANTITIES

    @property
    def measured(self) -> bool:
        """Whether Steps must run for its number: neither planned nor adopted."""
        return bool(self.steps) and not self.planned

    @property
    def numbers(self) -> list[float]:
        return [value.number for value in self.values if value.number is not None]

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.numbers) if self.numbers else None

    @property
    def sd(self) -> float | None:
        """Sample standard deviation (n - 1) over seeds; None for fewer than two, and for what no seed changes."""
        return statistics.stdev(self.numbers) if len(self.numbers) > 1 and not self.planned else None

    @property
    def complete(self) -> bool:
        return len(self.numbers) == len(self.steps)

    @property
    def delta(self) -> float | None:
        """Ours - paper."""
        return None if self.mean is None or self.paper is None else self.mean - self.paper

    @property
    def within(self) -> float | None:
        """The largest |ours - paper| that matches, if one is declared."""
        if self.planned:
            return ROUNDED
        return self.margin if self.trained else self.tolerance

    @property
    def half_width(self) -> float | None:
        """Of ours, as two one-sided t-tests hold it against the margin; None for one seed, 0 where nothing was trained."""
        if self.planned or not self.trained:
            return 0.0
        if self.sd is None:
            return None
        from scipy import stats

        n = len(self.numbers)
        return float(stats.t.ppf(1 - ONE_SIDED, n - 1)) * self.sd / math.sqrt(n)

    @property
    def verdict(self) -> Verdict | None:
        """None without a paper's value. A cell that departs from the recipe never matches, however near it comes."""
        if self.paper is None:
            return None
        if self.delta is None or not self.complete:
            return "missing"
        if self.elsewhere:
            return "unjudged"
        found = _judged(abs(self.delta), self.within, self.half_width)
        return "deviates" if found == "match" and self.deviates else found


def _judged(delta: float, within: float | None, half_width: float | None) -> Verdict:
    """Whether all of the interval lies within, none of it, or neither for certain."""
    if within is None or half_width is None:
        return "unjudged"
    if delta + half_width <= within + SLACK:
        return "match"
    return "off" if delta - half_width > within else "undecided"


def declared(cell: Cell, report: Report, at: int) -> Cell:
    """With what the report says of it; `at`: its place among the cells of its row."""
    paper = cell.row.paper[at] if cell.row.paper else None
    adopted = cell.row.adopted[at] if cell.row.adopted else None
    of_row = "" if paper == OPEN else cell.row.source
    return replace(
        cell,
        paper=None if isinstance(paper, str) else paper,
        open=paper == OPEN,
        elsewhere=paper is not None and bool(of_row) and not cell.row.paper_from,
        adopted=adopted,
        source="" if paper is None and adopted is None else of_row or report.source,
        tolerance=report.tolerance,
        margin=report.margin,
    )


def fill(
    cell: Cell,
    states: Mapping[str, str],
    numbers: Numbers,
    *,
    at_paper_scale: bool,
    deviating: AbstractSet[str],
    trained: AbstractSet[str],
) -> Cell:
    """The cell with its numbers. `states` by fingerprint; `deviating`, `trained`: fingerprints of Steps to which that applies,
    themselves or in an ancestor."""
    measured = {s.fingerprint: quantity(s, cell.metric) for s in cell.steps} if cell.planned else numbers.get(cell.metric, {})
    filled = replace(
        cell,
        values=tuple(
            _value(step, cell.metric, states[step.fingerprint], measured.get(step.fingerprint)) for step in cell.steps
        ),
        deviates=not cell.planned and any(step.fingerprint in deviating for step in cell.steps),
        trained=any(step.fingerprint in trained for step in cell.steps),
    )
    return filled if at_paper_scale else replace(filled, paper=None, open=False, elsewhere=False, adopted=None, source="")


def quantity(step: Step, name: str) -> float | None:
    """What is known of a Step before it runs."""
    return KINDS[step.kind].quantities(step.config).get(name)


def _value(step: Step, metric: str, state: str, number: float | None) -> Value:
    if number is None or math.isnan(number):
        return Value(step, f"no {metric}" if state == "done" else state, None)
    return Value(step, state, float(number))
