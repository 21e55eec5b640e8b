"""Training curves: a row of panels for each stage, a panel for each measure, a line for each Step."""

from __future__ import annotations

from collections.abc import Sequence
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


def svg(curves: Curves) -> str:
    return page.svg(_page(curves))


def png(curves: Curves) -> bytes:
    return page.png(_page(curves))


def _page(curves: Curves) -> Page:
    stages = curves.by_stage
    columns = max(len(_measures(curves, steps)) for steps in stages.values())
    told = [
        f"{stage}: {', '.join(_measures(curves, steps))} of {counted(len(steps), 'Step')}" for stage, steps in stages.items()
    ]
    return Page(
        name=f"{slug(Path(curves.name).stem)}-curves",
        title=f"Training curves of {curves.name}",
        described=f"Over train steps. {'; '.join(told)}.",
        small=(" · ".join(curves.subtitle),),
        width=max(4.2, 1.75 * columns + 1.3),
        height=1.35 * len(stages) + 0.3,
        paint=lambda figure: _paint(figure, curves, columns),
    )


def _measures(curves: Curves, steps: Sequence[Step]) -> list[str]:
    return list(dict.fromkeys(name for step in steps for name in curves.measures(step)))


def _paint(figure: SubFigure, curves: Curves, columns: int) -> None:
    grid = figure.add_gridspec(len(curves.by_stage), columns)
    for row, (stage, steps) in enumerate(curves.by_stage.items()):
        found = _measures(curves, steps)
        axes = [figure.add_subplot(grid[row, column]) for column in range(len(found))]
        for one, measure in zip(axes, found, strict=True):
            _panel(one, curves, steps, measure, row)
        axes[0].set_ylabel(f"{stage}\n{counted(len(steps), 'Step')}", fontweight="bold")
        if 1 < len(steps) <= NAMED:
            axes[-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
        if row == len(curves.by_stage) - 1:
            for one in axes:
                one.set_xlabel("train step")


def _panel(axes: Axes, curves: Curves, steps: Sequence[Step], measure: str, row: int) -> None:
    axes.set_title(measure, loc="left")
    named, names = len(steps) <= NAMED, apart(steps)
    for at, step in enumerate(steps):
        places = [(line["train_step"], line[measure]) for line in curves.lines[step.fingerprint] if measure in line]
        look: Look = {"color": colour(at if named else row), "linewidth": 0.9, "alpha": 1 if named else 0.5}
        look |= {"linestyle": DASHES[at % len(DASHES)]} if named else {}
        look |= {"marker": ".", "markersize": 3} if len(places) <= SPARSE else {}
        label = ", ".join(f"{name} {typed(step.coordinates.get(name))}" for name in names)
        axes.plot(
            [x for x, _ in places], [y for _, y in places], label=label, gid=f"curve-{measure}-{step.fingerprint[:8]}", **look
        )
    axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value, 4)))
