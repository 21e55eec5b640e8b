"""Figures of a report, drawn from the cells of its table: what stands along x, and which columns are its series."""

# No `from __future__ import annotations`: see core/fields.py.
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from simclr_spec.core.errors import Fault, did_you_mean
from simclr_spec.core.fields import NOT_EMPTY, described
from simclr_spec.language.coordinates import KEYS, selector_schema
from simclr_spec.language.document import Document, Path

_WHERE = selector_schema()


@dataclass(frozen=True, kw_only=True)
class Series:
    """The cells of one column, over rows."""

    title: str = described("its name in the legend", NOT_EMPTY)
    column: str = described("title of the column that has its values", NOT_EMPTY)
    where: dict[str, Any] = described("coordinates of the rows it has points of; else all rows", _WHERE, default_factory=dict)
    rows: tuple[str, ...] | None = described("titles of these rows, instead of `where`", minItems=1, default=None)


@dataclass(frozen=True, kw_only=True)
class Level:
    """A dashed line at the value of one cell."""

    title: str = described("its name in the legend", NOT_EMPTY)
    row: str = described("title of the cell's row", NOT_EMPTY)
    column: str = described("title of the cell's column", NOT_EMPTY)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One pair of axes."""

    title: str = described("above the axes", default="")
    series: tuple[Series, ...] = described("what is drawn", minItems=1, maxItems=20)
    level: Level | None = described("a dashed line to compare with", default=None)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure: panels beside each other with a common y axis; or a diagram of the stages of the plan, which has none."""

    title: str = described("title of the figure", NOT_EMPTY)
    kind: Literal["lines", "scatter", "bars", "diagram"] = described(
        "points joined in the order of x; points with their correlation; bars of the rows; or boxes of the plan's stages"
    )
    x: str = described("along x: title of a column, or a coordinate of the rows; unless given, the rows themselves", default="")
    x_title: str = described("below the x axis", default="")
    y_title: str = described("beside the y axis", default="")
    log: bool = described("x in logarithmic scale", default=False)
    best: bool = described(
        "of several points of a series at one x, the highest one only; of the paper's, the highest that is known", default=False
    )
    relative_to: str = described(
        "title of a row: values become gains in percent over that row's, ours seed by seed", default=""
    )
    panels: tuple[Panel, ...] = described("from the left", maxItems=6, default=())


def faults(document: Document, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Iterator[Fault]:
    """Titles that no column or row has, and an x that is neither a column nor a coordinate."""
    titles = [row["title"] for row in rows]
    for i, figure in enumerate(document.data.get("figures", [])):
        at: Path = ("figures", i)
        if (figure["kind"] == "diagram") == bool(figure.get("panels")):
            needs = "has no panels: it is drawn from the plan" if figure.get("panels") else "needs `panels`"
            yield document.fault((*at, "kind"), f"a figure of kind {figure['kind']!r} {needs}")
        x = figure.get("x", "")
        if x and x not in columns and x not in KEYS:
            yield document.fault((*at, "x"), f"x {x!r} is no column, nor a coordinate{did_you_mean(x, [*columns, *KEYS])}")
        if figure["kind"] == "scatter" and x not in columns:
            yield document.fault((*at, "kind"), "a scatter needs the title of a column as `x`")
        if figure["kind"] == "bars" and x in columns:
            yield document.fault((*at, "x"), "bars stand for rows: no column can be their `x`")
        named: list[tuple[Path, str, Sequence[str]]] = (
            [((*at, "relative_to"), figure["relative_to"], titles)] if figure.get("relative_to") else []
        )
        for j, panel in enumerate(figure.get("panels", [])):
            named += _named((*at, "panels", j), panel, columns, titles)
            yield from _repeated(document, (*at, "panels", j, "series"), panel["series"])
        for path, title, known in named:
            if title not in known:
                what = "column" if known is columns else "row"
                yield document.fault(path, f"no {what} is titled {title!r}{did_you_mean(title, known)}")


def _repeated(document: Document, at: Path, written: Sequence[Mapping[str, Any]]) -> Iterator[Fault]:
    """Series of one panel that nobody could tell apart, and what chooses the rows of one twice."""
    titles = [series["title"] for series in written]
    for k, series in enumerate(written):
        if titles[k] in titles[:k]:
            yield document.fault((*at, k, "title"), f"title {titles[k]!r} stands twice in this panel")
        if "rows" in series and "where" in series:
            yield document.fault((*at, k, "rows"), "a series has either `rows` or `where`")


def _named(
    at: Path, panel: Mapping[str, Any], columns: Sequence[str], rows: Sequence[str]
) -> Iterator[tuple[Path, str, Sequence[str]]]:
    """Titles that a panel names: where, which, and the titles that there are."""
    for k, series in enumerate(panel["series"]):
        yield (*at, "series", k, "column"), series["column"], columns
        for n, title in enumerate(series.get("rows", [])):
            yield (*at, "series", k, "rows", n), title, rows
    if level := panel.get("level"):
        yield (*at, "level", "column"), level["column"], columns
        yield (*at, "level", "row"), level["row"], rows
