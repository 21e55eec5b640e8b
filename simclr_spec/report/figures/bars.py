"""Figures of bars: a category for each row, a bar in it for each series."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from simclr_spec.core.words import fixed
from simclr_spec.report.figures import axes as common
from simclr_spec.report.figures.page import wrapped
from simclr_spec.report.figures.points import Drawing, Drawn, Point
from simclr_spec.report.figures.said import hollow
from simclr_spec.report.figures.style import FAINT, INK, Look, colour
from simclr_spec.report.text import places

HATCHES = ("", "xxxx", "....", "----", "++++", "||||")
"""Of the series of a panel, over the colour of ours."""
LITERATURE = "literature (hatched)"
HATCHED = "///"
"""No series of ours looks like this."""
FULL = 0.8
"""Of a category, filled with bars."""
BAR = 0.2
"""Inches."""


def height(drawing: Drawing) -> float:
    return max(2.0, 1.3 + BAR * len(drawing.categories) * (max(len(panel.series) for panel in drawing.panels) + 0.6))


def paint(figure: SubFigure, drawing: Drawing) -> None:
    """Lying, so that rows may have long titles: ours filled, the literature's hatched, the paper's value a hollow mark."""
    handles: list[Any] = []
    panels = common.panels(figure, drawing)
    for at, (axes, panel) in enumerate(zip(panels, drawing.panels, strict=True)):
        for place, series in enumerate(panel.series):
            number = drawing.titles.index(series.title)
            gid = f"{at}-{number}"
            handles += _series(axes, series, colour(number), place, len(panel.series), gid)
        handles += common.level(axes.axvline, panel.level) if panel.level else []
        if not drawing.is_empty:
            _along(axes, drawing)
    common.name_axes(panels, common.y_title(drawing), drawing.figure.x_title)
    common.legend(figure, [*handles, *_meaning(drawing)])


def _along(axes: Axes, drawing: Drawing) -> None:
    titles = [wrapped(title, 1.6, 6.5) for title in drawing.categories]
    axes.set_yticks(range(len(titles)), titles)
    axes.set_ylim(len(titles) - 0.45, -0.55)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.32)


def _series(axes: Axes, series: Drawn, own: str, place: int, of: int, gid: str) -> list[Patch]:
    """One bar a row, in the `place` of so many."""
    thick = FULL / of
    look: Look = {"facecolor": own, "edgecolor": "white", "hatch": HATCHES[place % len(HATCHES)], "linewidth": 0}
    for point in series.points:
        at = point.x + (place - (of - 1) / 2) * thick
        if point.adopted is not None:
            hatched: Look = {"facecolor": "none", "edgecolor": own, "hatch": HATCHED, "linewidth": 0.8}
            axes.barh(at, point.adopted, thick * 0.92, gid=f"adopted-{gid}", **hatched)
        if point.mean is not None:
            axes.barh(at, point.mean, thick * 0.92, gid=f"ours-{gid}", **look)
            axes.errorbar(point.mean, at, xerr=point.sd or 0, ecolor=INK, elinewidth=0.8, capsize=1.6 * bool(point.sd))
        if len(point.seeds) > 1:
            faint: Look = {"color": INK, "alpha": FAINT, "marker": "o", "markersize": 2, "markeredgewidth": 0}
            axes.plot([y for _, y in point.seeds], [at] * len(point.seeds), linestyle="", gid=f"seeds-{gid}", **faint)
        if point.paper is not None:
            axes.plot(point.paper[1], at, gid=f"paper-{gid}", **_hollow())
        _tell(axes, point, at)
    return [Patch(label=series.title, **look)]


def _tell(axes: Axes, point: Point, at: float) -> None:
    """The number, at the right of the axes."""
    shown, digits = point.mean if point.mean is not None else point.adopted, places(point.cell)
    if shown is not None:
        text = fixed(shown, digits) + ("" if point.sd is None else f" ± {fixed(point.sd, digits)}")
    else:
        text = f"{point.whose} {fixed(point.paper[1], digits)}" if point.paper else ""
    axes.text(0.995, at, text, transform=axes.get_yaxis_transform(), va="center", ha="right", fontsize=5.5)


def _hollow() -> Look:
    return {"color": INK, "marker": "D", "markerfacecolor": "none", "markersize": 4, "markeredgewidth": 0.9, "linestyle": ""}


def _meaning(drawing: Drawing) -> list[Any]:
    found: list[Any] = common.meaning(drawing)
    if whose := hollow(drawing.points):
        found.append(Line2D([], [], label=f"{whose} (hollow)", **_hollow()))
    if any(point.adopted is not None for point in drawing.points):
        found.append(Patch(facecolor="none", edgecolor=INK, hatch=HATCHED, linewidth=0.8, label=LITERATURE))
    return found
