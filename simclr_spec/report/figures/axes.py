"""What pairs of axes have in common: panels beside each other, ticks, a level, and one legend below all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

from simclr_spec.core.words import number
from simclr_spec.language.coordinates import KEYS
from simclr_spec.report.figures.page import wrapped
from simclr_spec.report.figures.points import Drawing, Line
from simclr_spec.report.figures.said import NOTHING, hollow
from simclr_spec.report.figures.style import FAINT, INK, OF_THE_PAPER, Look

WIDTHS = {1: 4.2, 2: 5.6}
"""Inches, by the number of panels."""
WIDEST = 7.0
HEIGHT = 2.7
FEW_TICKS = 5
MANY = 4
"""Panels too narrow for three ticks a decade."""


def width(drawing: Drawing) -> float:
    return WIDTHS.get(len(drawing.panels), WIDEST)


def panels(figure: SubFigure, drawing: Drawing) -> list[Axes]:
    """With one scale for all."""
    grid = figure.subplots(1, len(drawing.panels), sharex=True, sharey=True, squeeze=False)
    for axes, panel in zip(grid[0], drawing.panels, strict=True):
        axes.set_title(panel.title, loc="left")
        if drawing.is_empty:
            axes.text(0.5, 0.5, NOTHING, transform=axes.transAxes, ha="center", va="center", alpha=0.8)
            axes.set(xticks=[], yticks=[])
    return list(grid[0])


def name_axes(panels: Sequence[Axes], x: str, y: str) -> None:
    for axes in panels:
        axes.set_xlabel(wrapped(x, 5 / (len(panels) + 1), 7.5))
    panels[0].set_ylabel(y)


def y_title(drawing: Drawing) -> str:
    chosen = drawing.figure
    metrics = {point.cell.metric for point in drawing.points}
    return chosen.y_title or ("gain in %" if chosen.relative_to else ", ".join(sorted(metrics)))


def ticks_along_x(axes: Axes, drawing: Drawing) -> None:
    """At the values themselves where x is a coordinate of few."""
    if drawing.categories:
        axes.set_xticks(range(len(drawing.categories)), [wrapped(title, 0.7, 6.5) for title in drawing.categories])
        return
    if drawing.figure.log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if len(drawing.panels) < MANY else (1, 3)))
        axes.xaxis.set_minor_locator(LogLocator(subs=range(1, 10)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    known = sorted({point.x for point in drawing.points})
    if drawing.figure.x in KEYS and 0 < len(known) <= FEW_TICKS:
        axes.xaxis.set_major_locator(FixedLocator(known))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value, 4)))


def level(draw: Callable[..., Line2D], line: Line) -> list[Line2D]:
    """Ours dashed, the paper's in fine dots."""
    drawn = []
    if line.ours is not None:
        drawn.append(draw(line.ours, color=INK, linestyle="--", linewidth=0.9, label=line.title))
    if line.paper is not None:
        drawn.append(draw(line.paper, color=INK, linestyle=":", linewidth=0.9, label=f"{line.title}, the paper's"))
    return drawn


def legend(figure: SubFigure, handles: Sequence[Any], columns: int = 4) -> None:
    """Each label once."""
    labelled = {handle.get_label(): handle for handle in handles}
    if labelled:
        longest = max(map(len, labelled))
        fit = max(1, int(figure.figure.get_figwidth() * 72 / ((longest + 7) * 6.5 * 0.56)))
        ncols = min(columns, fit, len(labelled))
        figure.legend(handles=[*labelled.values()], loc="outside lower center", ncols=ncols)


def meaning(drawing: Drawing) -> list[Line2D]:
    """What hollow and faint marks say, where there are some."""
    found = []
    if (whose := hollow(drawing.points)) and drawing.figure.kind != "bars":
        found.append(Line2D([], [], color=INK, marker="o", **OF_THE_PAPER, label=f"{whose} (hollow)"))
    if any(len(point.seeds) > 1 for point in drawing.points):
        style: Look = {"markersize": 3, "alpha": FAINT, "markeredgewidth": 0}
        found.append(Line2D([], [], color=INK, marker="o", linestyle="", label="each seed", **style))
    return found
