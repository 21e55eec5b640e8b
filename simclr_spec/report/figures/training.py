"""Training curves: a row of panels for each stage, a panel for each measure, a line for each Step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from simclr_spec.core.words import counted, number, typed
from simclr_spec.language.report import slug
from simclr_spec.plan import Step
from simclr_spec.report.curves import Curves, apart
from simclr_spec.report.figures import page
from simclr_spec.report.figures.page import Page
from simclr_spec.report.figures.style import DASHES, Look, colour

NAMED = 6
"""Steps of a stage that have a line in the legend; more have the stage's colour."""
SPARSE = 40
"""Points that have marks."""
BESIDE = 4
"""Measures of a stage in one row; more go on below."""
PANEL, LEGEND = 1.75, 1.3
"""Inches."""


def svg(curves: Curves) -> str:
    return page.svg(_page(curves))


def png(curves: Curves) -> bytes:
    return page.png(_page(curves))


def _page(curves: Curves) -> Page:
    rows = _rows(curves)
    told = [f"{row.stage}: {', '.join(row.measures)} of {counted(len(row.steps), 'Step')}" for row in rows]
    return Page(
        name=f"{slug(Path(curves.name).stem)}-curves",
        title=f"Training curves of {curves.name}",
        described=f"Over train steps. {'; '.join(told)}.",
        small=(" · ".join(curves.subtitle),),
        width=max(4.2, PANEL * max(len(row.measures) for row in rows) + LEGEND),
        height=1.35 * len(rows) + 0.3,
        paint=lambda figure: _paint(figure, curves, rows),
    )


@dataclass(frozen=True, kw_only=True)
class _Row:
    """Some measures of a stage; `place` is the stage's."""

    place: int
    stage: str
    steps: Sequence[Step]
    measures: Sequence[str]
    is_first: bool


def _rows(curves: Curves) -> list[_Row]:
    rows = []
    for place, (stage, steps) in enumerate(curves.by_stage.items()):
        found = list(dict.fromkeys(name for step in steps for name in curves.measures(step)))
        for start in range(0, len(found), BESIDE):
            some = found[start : start + BESIDE]
            rows.append(_Row(place=place, stage=stage, steps=steps, measures=some, is_first=not start))
    return rows


def _paint(figure: SubFigure, curves: Curves, rows: Sequence[_Row]) -> None:
    most = max(len(row.measures) for row in rows)
    grid = figure.add_gridspec(len(rows), most + 1, width_ratios=[*[PANEL] * most, LEGEND])
    for at, row in enumerate(rows):
        panels = [figure.add_subplot(grid[at, column]) for column in range(len(row.measures))]
        for axes, measure in zip(panels, row.measures, strict=True):
            _panel(axes, curves, row, measure)
            axes.set_xlabel("train step" if at == len(rows) - 1 else "")
        if row.is_first:
            panels[0].set_ylabel(f"{row.stage}\n{counted(len(row.steps), 'Step')}", fontweight="bold")
        if row.is_first and 1 < len(row.steps) <= NAMED:
            beside = figure.add_subplot(grid[at, len(row.measures) :])  # as the panel's own it would move those of other rows
            beside.axis("off")
            beside.legend(*panels[-1].get_legend_handles_labels(), loc="center left")


def _panel(axes: Axes, curves: Curves, row: _Row, measure: str) -> None:
    axes.set_title(measure, loc="left")
    named, names = len(row.steps) <= NAMED, apart(row.steps)
    for at, step in enumerate(row.steps):
        places = [(line["train_step"], line[measure]) for line in curves.lines[step.fingerprint] if measure in line]
        look: Look = {"color": colour(at if named else row.place), "linewidth": 0.9, "alpha": 1 if named else 0.5}
        look |= {"linestyle": DASHES[at % len(DASHES)]} if named else {}
        look |= {"marker": ".", "markersize": 3} if len(places) <= SPARSE else {}
        label = ", ".join(f"{name} {typed(step.coordinates.get(name))}" for name in names)
        axes.plot(
            [x for x, _ in places], [y for _, y in places], label=label, gid=f"curve-{measure}-{step.fingerprint[:8]}", **look
        )
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value, 4)))
