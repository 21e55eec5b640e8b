"""Figures in words: what is seen, and the small print below."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from simclr_spec.core.words import counted, fixed, number
from simclr_spec.report.figures.points import Axes, Drawing, Line, Point
from simclr_spec.report.table import Table
from simclr_spec.report.text import measured, places

NOTHING = "no result yet"


def described(drawing: Drawing) -> str:
    """Every point in words."""
    figure = drawing.figure
    along = f"{figure.kind} over {figure.x_title or figure.x or 'the rows'}{', in logarithmic scale' if figure.log else ''}"
    if drawing.is_empty:
        return f"{along}: {NOTHING}."
    return " ".join([f"{along}.", *(_panel(drawing, panel) for panel in drawing.panels)])


def _panel(drawing: Drawing, panel: Axes) -> str:
    parts = [f"{series.title}: {', '.join(_point(drawing, p) for p in series.points) or 'none'}" for series in panel.series]
    parts += [_line(panel.level)] if panel.level else []
    return (f"{panel.title}: " if panel.title else "") + "; ".join(parts) + "."


def _point(drawing: Drawing, point: Point) -> str:
    at = drawing.categories[int(point.x)] if drawing.categories else number(point.x, 4)
    return f"{at} → {' / '.join(_values(drawing, point)) or measured(point.cell)}"


def _values(drawing: Drawing, point: Point) -> Iterator[str]:
    digits = 1 if drawing.figure.relative_to else places(point.cell)
    if point.mean is not None:
        spread = "" if point.sd is None else f" ± {fixed(point.sd, digits)}"
        yield f"{fixed(point.mean, digits)}{spread} ({len(point.seeds)})"
    if point.paper is not None:
        yield f"{point.whose} {fixed(point.paper[1], digits)}"
    if point.adopted is not None:
        yield f"{fixed(point.adopted, digits)} adopted"


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
    return f"{' and '.join(counts)}, told by: simclr-spec report {table.name}"


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
    return [" · ".join(parts)] if parts else []
