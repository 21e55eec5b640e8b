"""Figures of points: joined in the order of x, or with their correlation."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation, Transform
from scipy import stats

from simclr_spec.core.words import fixed
from simclr_spec.report.figures import axes as common
from simclr_spec.report.figures.points import Drawing, Drawn, Place
from simclr_spec.report.figures.said import hollow as whose
from simclr_spec.report.figures.style import FAINT, OF_THE_PAPER, Look, of_series

FEWEST = 3
"""Points of which a correlation says anything."""


def paint(figure: SubFigure, drawing: Drawing) -> None:
    """Ours filled with error bars of one sd, each seed faint; the paper's hollow; the literature's crossed."""
    joined = drawing.figure.kind == "lines"
    handles: list[Line2D] = []
    panels = common.panels(figure, drawing)
    for at, (axes, panel) in enumerate(zip(panels, drawing.panels, strict=True)):
        for series in panel.series:
            number = drawing.titles.index(series.title)
            handles += _series(axes, series, of_series(number), f"{at}-{number}", joined=joined)
        handles += common.level(axes, panel.level) if panel.level else []
        if not drawing.is_empty:
            axes.margins(0.07, 0.08)
            common.ticks_along_x(axes, drawing)
    common.name_axes(panels, drawing.figure.x_title or drawing.figure.x, common.y_title(drawing))
    common.legend(figure, [*handles, *common.meaning(drawing)])


def _series(axes: Axes, series: Drawn, style: Look, gid: str, *, joined: bool) -> list[Line2D]:
    """Legend handles: of ours, or of the paper's where there is nothing else."""
    ours = [(point.x, point.mean) for point in series.points if point.mean is not None]
    papers = [point.paper for point in series.points if point.paper]
    adopted = [(point.x, point.adopted) for point in series.points if point.adopted is not None]
    colour, marker = style["color"], style["marker"]
    unjoined: Look = {} if joined else {"linestyle": ""}
    hollow: Look = {"color": colour, "marker": marker, **OF_THE_PAPER, **unjoined}
    filled = {**style, **unjoined}
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
    if joined:
        return [Line2D([], [], label=series.title, **(style if ours or not papers else hollow))]
    found = [("", ours, filled), (f", {whose(series.points)}", papers, hollow)] if papers else [("", ours, filled)]
    return [Line2D([], [], label=f"{series.title}{of}{correlation(places)}", **look) for of, places, look in found if places]


def _beside(axes: Axes, points: float) -> Transform:
    """Right of the mean, which would hide them."""
    figure = axes.figure.figure
    return axes.transData + ScaledTranslation(points / 72, 0, figure.dpi_scale_trans)


def correlation(places: list[Place]) -> str:
    """`: r 0.98, ρ 0.97, n 13`: Pearson's and Spearman's, of points that vary."""
    x, y = _split(places)
    if len(places) < FEWEST or len(set(x)) < 2 or len(set(y)) < 2:
        return f": n {len(places)}"
    r, rho = float(stats.pearsonr(x, y).statistic), float(stats.spearmanr(x, y).statistic)
    return f": r {fixed(r, 2)}, ρ {fixed(rho, 2)}, n {len(places)}"


def _split(places: list[Place]) -> tuple[list[float], list[float]]:
    return [x for x, _ in places], [y for _, y in places]
