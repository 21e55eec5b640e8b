"""What a figure of a report shows, as data: every format may have it, and nothing here draws."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from simclr_spec.core.words import typed
from simclr_spec.language.figure import Figure, Level, Panel, Series
from simclr_spec.report.cells import Cell
from simclr_spec.report.select import Seeds, seeds_of
from simclr_spec.report.series import coordinates_of, has
from simclr_spec.report.table import Table

Place = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Point:
    """One cell along x. What is None is not known, or not to be shown: nothing of the paper's off its scale."""

    cell: Cell
    x: float
    """of ours; where x is no number, its place among `Drawing.categories`"""
    mean: float | None
    """over the seeds, in the unit of the y axis"""
    sd: float | None
    seeds: tuple[Place, ...]
    """(x, y) of each"""
    paper: Place | None
    adopted: float | None
    """of the literature, instead of ours"""
    x_sd: float | None = None
    whose: str = "paper"
    """the number of `paper`: `elsewhere` where it is not the paper's"""
    best_known_of: str = ""
    """title of the row of the paper's value where it is the best of those that are known only"""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """The points of one series in the order of x."""

    title: str
    points: tuple[Point, ...]

    @property
    def ours(self) -> list[Place]:
        return [(point.x, point.mean) for point in self.points if point.mean is not None]

    @property
    def papers(self) -> list[Place]:
        return [point.paper for point in self.points if point.paper]


@dataclass(frozen=True, kw_only=True)
class Line:
    """A level to compare with."""

    title: str
    ours: float | None
    paper: float | None


@dataclass(frozen=True, kw_only=True)
class Axes:
    """A panel."""

    title: str
    series: tuple[Drawn, ...]
    level: Line | None


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure; without points where nothing has run."""

    figure: Figure
    categories: tuple[str, ...]
    """along x where it is no number, else none"""
    panels: tuple[Axes, ...]

    @property
    def points(self) -> list[Point]:
        return [point for panel in self.panels for series in panel.series for point in series.points]

    @property
    def is_empty(self) -> bool:
        return all(point.mean is None and point.paper is None and point.adopted is None for point in self.points)

    @property
    def titles(self) -> list[str]:
        """Of the series, each once: one that is in several panels looks the same in all."""
        return list(dict.fromkeys(series.title for panel in self.panels for series in panel.series))


def drawing(table: Table, figure: Figure) -> Drawing:
    """What the figure shows of the table's cells. A diagram shows none."""
    reader = _Reader(table, figure)
    panels = tuple(reader.axes(panel) for panel in figure.panels)
    return Drawing(figure=figure, categories=tuple(reader.categories), panels=panels)


class _Reader:
    """Cells of a table by the titles of their row and column, and where they stand along x."""

    def __init__(self, table: Table, figure: Figure) -> None:
        self.figure = figure
        self.rows = [row.title for row in table.report.rows]
        self.columns = [column.title for column in table.report.columns]
        self.cells = {
            (row, column): cell
            for row, cells in zip(self.rows, table.rows, strict=True)
            for column, cell in zip(self.columns, cells, strict=True)
            if cell
        }
        self.compared = {(cell.row.title, cell.column.title): cell for cell in table.compared}
        self.categories: list[str] = []
        labels = [self._label(cell) for panel in figure.panels for series in panel.series for cell in self._of(series)]
        if figure.x not in self.columns and any(isinstance(label, str) for label in labels):
            self.categories = list(dict.fromkeys(str(label) for label in labels if label is not None))

    def axes(self, panel: Panel) -> Axes:
        series = tuple(Drawn(title=series.title, points=self._points(series)) for series in panel.series)
        return Axes(title=panel.title, series=series, level=self._line(panel.level) if panel.level else None)

    def _of(self, series: Series) -> Iterator[Cell]:
        for row in self.rows:
            cell = self.cells.get((row, series.column))
            if cell and has(series, cell):
                yield cell

    def _points(self, series: Series) -> tuple[Point, ...]:
        found = [point for cell in self._of(series) if (point := self._point(cell))]
        return tuple(sorted(_best(found) if self.figure.best else found, key=lambda point: point.x))

    def _point(self, cell: Cell) -> Point | None:
        beside = self.cells.get((cell.row.title, self.figure.x))
        x = self._x(cell, beside)
        if x is None:
            return None
        seeds = self._ours(cell)
        along = _by_seeds(beside) if beside else {}
        has_spread = cell.sd is not None and len(seeds) > 1 and cell.row.title != self.figure.relative_to
        paper = self._of_paper(cell, cell.paper)
        paper_x = _paper_x(beside) if self.figure.x in self.columns else x
        return Point(
            cell=cell,
            x=x,
            mean=statistics.fmean(seeds.values()) if seeds else None,
            sd=statistics.stdev(seeds.values()) if has_spread else None,
            seeds=tuple((along.get(chain, x), y) for chain, y in seeds.items()),
            paper=None if paper is None or paper_x is None else (paper_x, paper),
            adopted=self._of_paper(cell, cell.adopted),
            x_sd=beside.sd if beside else None,
            whose=cell.whose,
        )

    def _x(self, cell: Cell, beside: Cell | None) -> float | None:
        """Of the row's cell in the column x; of the paper's where there is no other."""
        if self.figure.x in self.columns:
            known = (beside.mean, beside.paper, beside.adopted) if beside else ()
            return next((value for value in known if value is not None), None)
        label = self._label(cell)
        if label is None:
            return None
        return self.categories.index(str(label)) if self.categories else float(label)

    def _label(self, cell: Cell) -> float | str | None:
        """The coordinate x, a number unless it is no quantity; or the row."""
        if not self.figure.x:
            return cell.row.title
        value = next((where[self.figure.x] for where in coordinates_of(cell) if self.figure.x in where), None)
        return value if value is None or _is_number(value) else typed(value)

    def _ours(self, cell: Cell) -> dict[Seeds, float]:
        """Values by chains of seeds; gains of those chains that the base has, too."""
        known = _by_seeds(cell)
        if not self.figure.relative_to:
            return known
        base = self._base(cell)
        bases = _by_seeds(base) if base else {}
        return {chain: _gain(value, bases[chain]) for chain, value in known.items() if bases.get(chain)}

    def _of_paper(self, cell: Cell, value: float | None) -> float | None:
        """The value, or its gain over the paper's."""
        if value is None or not self.figure.relative_to:
            return value
        base = self._base(cell)
        other = base and (base.paper if base.adopted is None else base.adopted)
        return _gain(value, other) if other else None

    def _base(self, cell: Cell) -> Cell | None:
        return self.compared.get((self.figure.relative_to, cell.column.title))

    def _line(self, level: Level) -> Line | None:
        cell = self.compared.get((level.row, level.column))
        if cell is None:
            return None
        seeds = self._ours(cell)
        ours = statistics.fmean(seeds.values()) if seeds else None
        paper = self._of_paper(cell, cell.paper if cell.adopted is None else cell.adopted)
        return None if ours is None and paper is None else Line(title=level.title, ours=ours, paper=paper)


def _by_seeds(cell: Cell) -> dict[Seeds, float]:
    return {seeds_of(value.step.coordinates): value.number for value in cell.values if value.number is not None}


def _gain(value: float, base: float) -> float:
    """In percent."""
    return 100 * (value / base - 1)


def _best(points: Sequence[Point]) -> list[Point]:
    """Ours of the highest mean at each x, with the paper's highest, or the highest known of it."""
    at: dict[float, list[Point]] = {}
    for point in points:
        at.setdefault(point.x, []).append(point)
    return [_highest(found) for found in at.values()]


def _highest(points: Sequence[Point]) -> Point:
    ours = max(points, key=lambda point: -math.inf if point.mean is None else point.mean)
    papers = max(points, key=lambda point: point.paper[1] if point.paper and point.whose == "paper" else -math.inf)
    paper = papers.paper if papers.whose == "paper" else None
    is_least = paper is not None and any(point.cell.open for point in points)
    return replace(ours, paper=paper, whose="paper", best_known_of=papers.cell.row.title if is_least else "")


def _paper_x(beside: Cell | None) -> float | None:
    """The paper's own; what the plan counts, where the paper has no other."""
    if beside is None:
        return None
    return beside.mean if beside.paper is None and beside.planned else beside.paper


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
