"""A figure of a report in the page, and below it what it shows as a table."""

from __future__ import annotations

from collections.abc import Iterator

from simclr_spec.language.figure import Figure
from simclr_spec.report.figures import said
from simclr_spec.report.figures.drawn import svg
from simclr_spec.report.figures.points import Axes, Drawing, Drawn, Point, drawing
from simclr_spec.report.page.markup import Html, element, folded, table
from simclr_spec.report.table import Table
from simclr_spec.report.text import NOTHING

HEADS = ("series", "x", "ours (n)", "the paper's", "literature")


def figure(shown: Table, of: Figure) -> Html:
    points = drawing(shown, of)
    data = [folded("Its data as a table", _data(points))] if points.points else []
    return element("figure", Html(svg(shown, of)), element("figcaption", element("span", of.title, class_="unseen"), *data))


def _data(shown: Drawing) -> Html:
    """Columns that are empty are left out."""
    heads = (HEADS[0], shown.figure.x_title or shown.figure.x or HEADS[1], *HEADS[2:])
    rows = list(_rows(shown))
    kept = [at for at in range(len(heads)) if any(row[at] for row in rows)]
    caption = " · ".join([f"{shown.figure.title}: {shown.figure.y_title or 'values'}", *_correlations(shown)])
    return table([heads[at] for at in kept], ([row[at] or NOTHING for at in kept] for row in rows), caption)


def _rows(shown: Drawing) -> Iterator[list[str]]:
    for panel in shown.panels:
        for series in panel.series:
            said_of = (said.along, said.ours, _papers, said.adopted)
            yield from ([_title(panel, series), *(say(shown, point) for say in said_of)] for point in series.points)


def _papers(shown: Drawing, point: Point) -> str:
    told = said.papers(shown, point)
    return f"{point.whose} {told}" if told and point.whose != "paper" else told


def _title(panel: Axes, series: Drawn) -> str:
    return ", ".join(filter(None, (panel.title, series.title)))


def _correlations(shown: Drawing) -> Iterator[str]:
    if shown.figure.kind == "scatter":
        for panel in shown.panels:
            found = ((_title(panel, series), said.correlated(series)) for series in panel.series)
            yield from (f"{title}: {correlations}" for title, correlations in found if correlations)
