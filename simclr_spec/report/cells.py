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
undecided: its seeds spread too much to say. unjudged: one seed, or no declared margin. missing: not all of it has run."""
ROUNDED = 0.5
"""The paper prints millions of parameters as whole numbers."""
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
    adopted: float | None = None
    tolerance: float | None = None
    margin: float | None = None
    deviates: bool = False

    @property
    def address(self) -> str:
        """ROW/COLUMN."""
        return f"{self.row.address}/{self.column.address}"

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
    def half_width(self) -> float | None:
        """Of the interval around ours that two one-sided tests at 5 % each compare with the margin (90 %, Student's t)."""
        from scipy import stats

        n = len(self.numbers)
        return None if self.sd is None else float(stats.t.ppf(0.95, n - 1)) * self.sd / math.sqrt(n)

    @property
    def verdict(self) -> Verdict | None:
        """None without a paper's value. A cell that departs from the recipe never matches, however near it comes."""
        if self.paper is None:
            return None
        if self.delta is None or not self.complete:
            return "missing"
        trained = not self.planned and any(KINDS[step.kind].trains for step in self.steps)
        found = self._of_training() if trained else self._within()
        return "deviates" if found == "match" and self.deviates else found

    def _within(self) -> Verdict:
        """Of weights that were not trained here, and of counts."""
        tolerance = ROUNDED if self.planned else self.tolerance
        if tolerance is None:
            return "unjudged"
        return "match" if abs(self.delta or 0.0) <= tolerance + 1e-9 else "off"

    def _of_training(self) -> Verdict:
        """Equivalent within the margin, different from every value within it, or neither for certain."""
        delta, half = abs(self.delta or 0.0), self.half_width
        if half is None or self.margin is None:
            return "unjudged"
        if delta + half <= self.margin + 1e-9:
            return "match"
        return "off" if delta - half > self.margin else "undecided"


def declared(cell: Cell, report: Report, at: int) -> Cell:
    """With what the report says of it; `at`: its place among the cells of its row."""
    paper = cell.row.paper[at] if cell.row.paper else None
    return replace(
        cell,
        paper=None if isinstance(paper, str) else paper,
        open=paper == OPEN,
        adopted=cell.row.adopted[at] if cell.row.adopted else None,
        tolerance=report.tolerance,
        margin=report.margin,
    )


def fill(cell: Cell, states: Mapping[str, str], numbers: Numbers, *, at_paper_scale: bool, deviating: AbstractSet[str]) -> Cell:
    """The cell with its numbers. `states` by fingerprint; `deviating`: fingerprints of Steps that depart from the recipe."""
    measured = {s.fingerprint: quantity(s, cell.metric) for s in cell.steps} if cell.planned else numbers.get(cell.metric, {})
    values = tuple(_value(step, cell.metric, states[step.fingerprint], measured.get(step.fingerprint)) for step in cell.steps)
    deviates = not cell.planned and any(step.fingerprint in deviating for step in cell.steps)
    filled = replace(cell, values=values, deviates=deviates)
    return filled if at_paper_scale else replace(filled, paper=None, open=False, adopted=None)


def quantity(step: Step, name: str) -> float | None:
    """What is known of a Step before it runs."""
    return KINDS[step.kind].quantities(step.config).get(name)


def _value(step: Step, metric: str, state: str, number: float | None) -> Value:
    if number is None or math.isnan(number):
        return Value(step, f"no {metric}" if state == "done" else state, None)
    return Value(step, state, float(number))
