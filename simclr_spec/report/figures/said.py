"""Figures in words: what is seen, and the small print below."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scipy import stats

from simclr_spec.core.words import counted, fixed, number
from simclr_spec.report.figures.points import Axes, Drawing, Drawn, Line, Place, Point
from simclr_spec.report.table import Table
from simclr_spec.report.text import measured, places

NOTHING = "no result yet"
FEWEST = 3
"""Points of which a correlation says anything."""


def described(drawing: Drawing) -> str:
    """Every point in words."""
    figure = drawing.figure
    scale = ", in logarithmic scale" if figure.log and not drawing.categories else ""
    along = f"{figure.kind} over {figure.x_title or figure.x or 'the rows'}{scale}"
    if drawing.is_empty:
        return f"{along}: {NOTHING}."
    return " ".join([f"{along}.", *(_panel(drawing, panel) for panel in drawing.panels)])


def _panel(drawing: Drawing, panel: Axes) -> str:
    parts = [_series(drawing, series) for series in panel.series]
    parts += [_line(panel.level)] if panel.level else []
    return (f"{panel.title}: " if panel.title else "") + "; ".join(parts) + "."


def _series(drawing: Drawing, series: Drawn) -> str:
    points = ", ".join(_point(drawing, point) for point in series.points) or "none"
    correlations = correlated(series) if drawing.figure.kind == "scatter" else ""
    return f"{series.title}: {points}" + (f", correlation: {correlations}" if correlations else "")


def _point(drawing: Drawing, point: Point) -> str:
    known = [ours(drawing, point), f"{point.whose} {papers(drawing, point)}" if point.paper else ""]
    known += [f"{adopted(drawing, point)} adopted" if point.adopted is not None else ""]
    return f"{along(drawing, point)} → {' / '.join(filter(None, known)) or measured(point.cell)}"


def along(drawing: Drawing, point: Point) -> str:
    """Where ours stands along x."""
    return drawing.categories[int(point.x)] if drawing.categories else number(point.x, 4)


def ours(drawing: Drawing, point: Point) -> str:
    """`61.2 ± 5.0 (4)`, or nothing."""
    if point.mean is None:
        return ""
    spread = "" if point.sd is None else f" ± {_fixed(drawing, point, point.sd)}"
    return f"{_fixed(drawing, point, point.mean)}{spread} ({len(point.seeds)})"


def papers(drawing: Drawing, point: Point) -> str:
    """`57.9`, `57.9 at 71.7` where its x is not ours, `at least 57.9 (3 layers)` of the row that is known; or nothing."""
    if point.paper is None:
        return ""
    x, y = point.paper
    said = f"at least {_fixed(drawing, point, y)} ({point.best_known_of})" if point.best_known_of else _fixed(drawing, point, y)
    return said if drawing.categories or number(x, 4) == along(drawing, point) else f"{said} at {number(x, 4)}"


def adopted(drawing: Drawing, point: Point) -> str:
    return "" if point.adopted is None else _fixed(drawing, point, point.adopted)


def _fixed(drawing: Drawing, point: Point, value: float) -> str:
    return fixed(value, 1 if drawing.figure.relative_to else places(point.cell))


def correlated(series: Drawn) -> str:
    """`ours r 0.98, ρ 0.97, n 13, the paper's n 1`."""
    found = (("ours", series.ours), (hollow(series.points), series.papers))
    return ", ".join(f"{whose} {correlation(points)}" for whose, points in found if points)


def correlation(points: Sequence[Place]) -> str:
    """`r 0.98, ρ 0.97, n 13`: Pearson's and Spearman's, of points that vary."""
    x, y = [x for x, _ in points], [y for _, y in points]
    if len(points) < FEWEST or len(set(x)) < 2 or len(set(y)) < 2:
        return f"n {len(points)}"
    r, rho = float(stats.pearsonr(x, y).statistic), float(stats.spearmanr(x, y).statistic)
    return f"r {fixed(r, 2)}, ρ {fixed(rho, 2)}, n {len(points)}"


def hollow(points: Iterable[Point]) -> str:
    """Whose numbers are drawn hollow; nothing where there is none."""
    found = {point.whose for point in points if point.paper}
    return " or ".join(text for whose, text in (("paper", "the paper's"), ("elsewhere", "from elsewhere")) if whose in found)


def _line(line: Line) -> str:
    known = [f"{fixed(line.ours, 1)}"] if line.ours is not None else []
    known += [f"paper {fixed(line.paper, 1)}"] if line.paper is not None else []
    return f"{line.title}, a level: {' / '.join(known)}"


def small(table: Table, drawing: Drawing) -> tuple[str, ...]:
    """The setting, how to read the points, and what stands below the table (law 8)."""
    return " · ".join(table.subtitle), *_reading(drawing), below(table)


def below(table: Table) -> str:
    """How much the table says below itself; the figure has no room for it."""
    found = {note.name: note.items for note in table.notes if note.items != ("none",)}
    counts = [counted(len(found.get(name.capitalize() + "s", ())), name) for name in ("deviation", "assumption")]
    counts += ["weights that were trained elsewhere"] * ("Weights" in found)
    return f"{', '.join(counts[:-1])} and {counts[-1]}, told by: simclr-spec report {table.name}"


def _reading(drawing: Drawing) -> list[str]:
    counts = {len(point.seeds) for point in drawing.points if point.seeds}
    parts = []
    if counts:
        n = number(min(counts)) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
        parts.append(f"ours: mean ± sd over seeds, n = {n}" if counts != {1} else "ours: n = 1")
    if drawing.figure.relative_to:
        parts.append(f"gains over {drawing.figure.relative_to}, ours over ours and the paper's over the paper's")
    cells = {point.cell.address: point.cell for point in drawing.points if point.cell.measured}.values()
    if lacking := sum(not cell.complete for cell in cells):
        parts.append(f"{lacking} of {counted(len(cells), 'cell')} lack a result")
    if unknown := sum(cell.open for cell in cells):
        parts.append(f"the paper's values of {counted(unknown, 'cell')} are not known")
    if least := dict.fromkeys(point.best_known_of for point in drawing.points if point.best_known_of):
        parts.append(f"the paper's best is at least what is known of it ({'; '.join(least)})")
    return [" · ".join(parts)] if parts else []
