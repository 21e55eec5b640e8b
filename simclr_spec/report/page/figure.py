"""A figure of a report in the page, and below it what it shows as a table."""

from __future__ import annotations

from collections.abc import Iterator

from simclr_spec.core.words import fixed, number
from simclr_spec.language.figure import Figure
from simclr_spec.report.figures.drawn import svg
from simclr_spec.report.figures.points import Drawing, Point, drawing
from simclr_spec.report.page.markup import Html, element, folded, table
from simclr_spec.report.table import Table
from simclr_spec.report.text import places

HEADS = ("series", "x", "ours (n)", "the paper's", "literature")


def figure(shown: Table, of: Figure) -> Html:
    points = drawing(shown, of)
    data = [folded("Its data as a table", _data(points))] if points.points else []
    return element("figure", Html(svg(shown, of)), element("figcaption", element("span", of.title, class_="unseen"), *data))


def _data(shown: Drawing) -> Html:
    heads = (HEADS[0], shown.figure.x_title or shown.figure.x or HEADS[1], *HEADS[2:])
    return table(heads, _rows(shown), f"{shown.figure.title}: {shown.figure.y_title or 'values'}")


def _rows(shown: Drawing) -> Iterator[list[str]]:
    for panel in shown.panels:
        for series in panel.series:
            title = " · ".join(filter(None, (panel.title, series.title)))
            yield from ([title, _at(shown, point), *_values(shown, point)] for point in series.points)


def _at(shown: Drawing, point: Point) -> str:
    return shown.categories[int(point.x)] if shown.categories else number(point.x, 4)


def _values(shown: Drawing, point: Point) -> Iterator[str]:
    digits = 1 if shown.figure.relative_to else places(point.cell)
    spread = "" if point.sd is None else f" ± {fixed(point.sd, digits)}"
    yield "–" if point.mean is None else f"{fixed(point.mean, digits)}{spread} ({len(point.seeds)})"
    told = "" if point.whose == "paper" else f"{point.whose} "
    yield "–" if point.paper is None else told + fixed(point.paper[1], digits)
    yield "–" if point.adopted is None else fixed(point.adopted, digits)
