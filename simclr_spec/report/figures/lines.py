"""Figures of points: joined in the order of x, or with their correlation."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation, Transform

from simclr_spec.report.figures import axes as common
from simclr_spec.report.figures.points import Axes as Panel
from simclr_spec.report.figures.points import Drawing, Drawn, Place
from simclr_spec.report.figures.said import correlation
from simclr_spec.report.figures.style import FAINT, OF_THE_PAPER, Look, of_series


def paint(figure: SubFigure, drawing: Drawing) -> None:
    """Ours filled with error bars of one sd, each seed faint; the paper's hollow; the literature's crossed."""
    joined = drawing.figure.kind == "lines"
    handles: list[Line2D] = []
    panels = common.panels(figure, drawing)
    for at, (axes, panel) in enumerate(zip(panels, drawing.panels, strict=True)):
        for series in panel.series:
            number = drawing.titles.index(series.title)
            handles.append(_series(axes, series, of_series(number), f"{at}-{number}", joined=joined))
        if not joined:
            _correlations(axes, panel, drawing.titles)
        handles += common.level(axes.axhline, panel.level) if panel.level else []
        if not drawing.is_empty:
            axes.margins(0.07, 0.08)
            common.ticks_along_x(axes, drawing)
    common.name_axes(panels, drawing.figure.x_title or drawing.figure.x, common.y_title(drawing))
    common.legend(figure, [*handles, *common.meaning(drawing)])


def _series(axes: Axes, series: Drawn, style: Look, gid: str, *, joined: bool) -> Line2D:
    """Its handle in the legend: of ours, or of the paper's where there is nothing else."""
    ours, papers = series.ours, series.papers
    adopted = [(point.x, point.adopted) for point in series.points if point.adopted is not None]
    colour, marker = style["color"], style["marker"]
    filled, hollow = _looks(style, joined=joined)
    axes.plot(*_split(papers), gid=f"paper-{gid}", zorder=2.1, **hollow)
    axes.plot(*_split(adopted), gid=f"adopted-{gid}", color=colour, marker="x", linestyle="", zorder=2.1)
    seeds = [place for point in series.points for place in point.seeds if len(point.seeds) > 1]
    faint: Look = {"color": colour, "marker": marker, "linestyle": "", "markersize": 2.6, "alpha": FAINT, "markeredgewidth": 0}
    axes.plot(*_split(seeds), gid=f"seeds-{gid}", zorder=2.2, transform=_beside(axes, 3.5 if joined else 0), **faint)
    for point in series.points:
        if point.mean is not None and point.sd is not None:
            bars: Look = {"ecolor": colour, "elinewidth": 0.9, "capsize": 1.8, "fmt": "none", "zorder": 2.3}
            axes.errorbar(point.x, point.mean, yerr=point.sd, xerr=point.x_sd, **bars)
    axes.plot(*_split(ours), gid=f"ours-{gid}", zorder=2.4, **filled)
    return Line2D([], [], label=series.title, **(filled if ours or not papers else hollow))


def _looks(style: Look, *, joined: bool) -> tuple[Look, Look]:
    """Of ours, and of the paper's."""
    unjoined: Look = {} if joined else {"linestyle": ""}
    return {**style, **unjoined}, {"color": style["color"], "marker": style["marker"], **OF_THE_PAPER, **unjoined}


def _correlations(axes: Axes, panel: Panel, titles: Sequence[str]) -> None:
    """Beside the mark of each, where there is room among the points."""
    handles = []
    for series in panel.series:
        filled, hollow = _looks(of_series(titles.index(series.title)), joined=False)
        found = ((series.ours, filled), (series.papers, hollow))
        handles += [Line2D([], [], label=correlation(points), **look) for points, look in found if points]
    if handles:
        axes.legend(handles=handles, loc="best", fontsize=5.5, handlelength=1)


def _beside(axes: Axes, points: float) -> Transform:
    """Right of the mean, which would hide them."""
    figure = axes.figure.figure
    return axes.transData + ScaledTranslation(points / 72, 0, figure.dpi_scale_trans)


def _split(places: list[Place]) -> tuple[list[float], list[float]]:
    return [x for x, _ in places], [y for _, y in places]
