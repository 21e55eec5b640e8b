"""Figures of bars: a category for each row, a bar in it for each series."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from simclr_spec.core.words import fixed
from simclr_spec.report.figures import axes as common
from simclr_spec.report.figures.page import wrapped
from simclr_spec.report.figures.points import Drawing, Drawn, Point
from simclr_spec.report.figures.style import FAINT, INK, colour
from simclr_spec.report.text import places

HATCHES = ("", "////", "xxxx", "....", "----", "\\\\\\\\")
"""By series, over the colour of ours."""
LITERATURE = "literature (hatched)"
FULL = 0.8
"""Of a category, filled with bars."""
BAR = 0.2
"""Inches."""


def height(drawing: Drawing) -> float:
    return max(1.6, 0.7 + BAR * len(drawing.categories) * (len(drawing.titles) + 0.6))


def paint(figure: Figure, drawing: Drawing) -> None:
    """Lying, so that rows may have long titles: ours filled, the literature's hatched, the paper's value a hollow mark."""
    handles: list[Any] = []
    for at, (axes, panel) in enumerate(zip(common.panels(figure, drawing), drawing.panels, strict=True)):
        for series in panel.series:
            number = drawing.titles.index(series.title)
            handles += _series(axes, series, number, len(drawing.titles), f"{at}-{number}")
        for value, style in [(panel.level.ours, "--"), (panel.level.paper, ":")] if panel.level else []:
            if value is not None and panel.level:
                of = "" if style == "--" else ", the paper's"
                look = {"color": INK, "linestyle": style, "linewidth": 0.9, "label": panel.level.title + of}
                handles.append(axes.axvline(value, **look))
        if not drawing.is_empty:
            _along(axes, drawing)
    common.name_axes(figure, common.y_title(drawing), drawing.figure.x_title)
    common.legend(figure, [*handles, *_meaning(drawing)])


def _along(axes: Axes, drawing: Drawing) -> None:
    titles = [wrapped(title, 1.6, 6.5) for title in drawing.categories]
    axes.set_yticks(range(len(titles)), titles)
    axes.set_ylim(len(titles) - 0.45, -0.55)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.2)


def _series(axes: Axes, series: Drawn, number: int, of: int, gid: str) -> list[Patch]:
    """One bar a row. `of`: so many share a row."""
    thick = FULL / of
    look = {"facecolor": colour(number), "edgecolor": "white", "hatch": HATCHES[number % len(HATCHES)], "linewidth": 0}
    for point in series.points:
        at = point.x + (number - (of - 1) / 2) * thick
        if point.adopted is not None:
            hatched = {"facecolor": "none", "edgecolor": colour(number), "hatch": "///", "linewidth": 0.8}
            axes.barh(at, point.adopted, thick * 0.92, gid=f"adopted-{gid}", **hatched)
        if point.mean is not None:
            axes.barh(at, point.mean, thick * 0.92, gid=f"ours-{gid}", **look)
            axes.errorbar(point.mean, at, xerr=point.sd or 0, ecolor=INK, elinewidth=0.8, capsize=1.6 * bool(point.sd))
        if len(point.seeds) > 1:
            faint: dict[str, Any] = {"color": INK, "alpha": FAINT, "marker": "o", "markersize": 2, "markeredgewidth": 0}
            axes.plot([y for _, y in point.seeds], [at] * len(point.seeds), linestyle="", gid=f"seeds-{gid}", **faint)
        if point.paper is not None:
            axes.plot(point.paper[1], at, gid=f"paper-{gid}", **_hollow())
        _tell(axes, point, at)
    return [Patch(label=series.title, **look)]


def _tell(axes: Axes, point: Point, at: float) -> None:
    """The number behind the end of all that is drawn of it."""
    shown = point.mean if point.mean is not None else point.adopted
    paper = point.paper[1] if point.paper else None
    ends = [value for value in (shown, paper, *(y for _, y in point.seeds)) if value is not None]
    if ends:
        end = max([*ends, (point.mean or 0) + (point.sd or 0)])
        text = fixed(shown if shown is not None else ends[0], places(point.cell))
        beside = {"xytext": (4.5, 0), "textcoords": "offset points", "va": "center", "fontsize": 5.5}
        axes.annotate(text, (end, at), **beside)


def _hollow() -> dict[str, Any]:
    return {"color": INK, "marker": "D", "markerfacecolor": "none", "markersize": 4, "markeredgewidth": 0.9, "linestyle": ""}


def _meaning(drawing: Drawing) -> list[Any]:
    found: list[Any] = common.meaning(drawing)
    if any(point.paper for point in drawing.points):
        found[0] = Line2D([], [], label="the paper's (hollow)", **_hollow())
    if any(point.adopted is not None for point in drawing.points):
        found.append(Patch(facecolor="none", edgecolor=INK, hatch="///", linewidth=0.8, label=LITERATURE))
    return found
