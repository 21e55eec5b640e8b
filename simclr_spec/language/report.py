"""The report language: rows × columns of coordinates, a metric, and the paper's numbers beside them.

A cell selects the Steps that agree with both its row and its column: exactly one per chain of seeds.
"""

# No `from __future__ import annotations`: see core/fields.py.
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from simclr_spec.core import fields
from simclr_spec.core.errors import Fault, SpecError, did_you_mean
from simclr_spec.core.fields import NOT_EMPTY, build, described
from simclr_spec.language import document
from simclr_spec.language.coordinates import selector_schema
from simclr_spec.language.document import Document

_WHERE = selector_schema()
_TITLES = {"items": {"type": "string", **NOT_EMPTY}, "minItems": 1}
_NUMBERS = {"items": {"anyOf": [{"type": "number"}, {"enum": ["none"]}]}, "minItems": 1}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: what its cells have in common."""

    title: str = described("heading", NOT_EMPTY)
    where: dict[str, Any] = described("coordinates of the Steps in this column", _WHERE, default_factory=dict)
    metric: str | None = described("metric of this column, else the report's", NOT_EMPTY, default=None)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: Steps of the plan, or numbers adopted from a publication."""

    title: str = described("heading", NOT_EMPTY)
    where: dict[str, Any] | None = described("coordinates of the Steps in this row", _WHERE, default=None)
    columns: tuple[str, ...] | None = described(
        "titles of the columns in which this row has cells; all unless given", _TITLES, default=None
    )
    paper: tuple[float | None, ...] | None = described(
        'the paper\'s values, one per cell of this row; "none" where it has none', _NUMBERS, default=None
    )
    adopted: tuple[float | None, ...] | None = described(
        "values adopted from a publication, in place of `where`", _NUMBERS, default=None
    )
    source: str = described("where adopted values come from", NOT_EMPTY, default="")
    parameters: float | None = described("the paper's parameters of the encoder, in millions", default=None)


@dataclass(frozen=True, kw_only=True)
class Report:
    """One table."""

    title: str = described("title of the table", NOT_EMPTY)
    spec: str = described("the spec whose plan is shown; a path starts in the report's folder", NOT_EMPTY)
    metric: str = described("metric of the cells: top1, top5, loss, ...; knn_top1 of a pretraining", NOT_EMPTY)
    source: str = described("where the paper's values stand", NOT_EMPTY, default="")
    tolerance: float | None = described("largest |ours - paper| that matches, in the metric's unit", default=None, minimum=0)
    columns: tuple[Column, ...] = described("columns, from the left", minItems=1, maxItems=50)
    rows: tuple[Row, ...] = described("rows, from the top", minItems=1, maxItems=500)


@cache
def schema() -> dict[str, Any]:
    return fields.file_schema("A report of simclr-spec", fields.schema(Report))


def load(name: str, folder: Path | None = None) -> tuple[Report, Document]:
    """The report declared as `name`, or in the file at the path `name`. Raises SpecError with every fault."""
    source = document.load("report", name, schema, folder)
    data = source.data
    titles = [column["title"] for column in data["columns"]]
    faults = [
        *_repeated(source, "columns", titles),
        *_repeated(source, "rows", [row["title"] for row in data["rows"]]),
        *(fault for i, row in enumerate(data["rows"]) for fault in _row_faults(source, i, row, titles)),
    ]
    if faults:
        raise SpecError(faults)
    return build(Report, source.content | {"spec": document.referred(source, "spec")}), source


def _repeated(source: Document, key: str, titles: list[str]) -> list[Fault]:
    return [
        source.fault((key, i, "title"), f"title {title!r} stands twice; name each of the {key} differently")
        for i, title in enumerate(titles)
        if title in titles[:i]
    ]


def _row_faults(source: Document, i: int, row: dict[str, Any], titles: list[str]) -> list[Fault]:
    faults = []
    for j, title in enumerate(row.get("columns", [])):
        if title not in titles:
            faults.append(
                source.fault(("rows", i, "columns", j), f"no column is titled {title!r}{did_you_mean(title, titles)}")
            )
        elif title in row["columns"][:j]:
            faults.append(source.fault(("rows", i, "columns", j), f"column {title!r} stands twice in this row"))
    cells = len(row.get("columns", titles))
    faults += [
        source.fault(("rows", i, key), f"{len(row[key])} values, but this row has {cells} cells")
        for key in ("paper", "adopted")
        if key in row and len(row[key]) != cells
    ]
    if ("where" in row) == ("adopted" in row):
        faults.append(source.fault(("rows", i), f"row {row['title']!r} needs either `where` or `adopted`"))
    if "adopted" in row and "paper" in row:
        faults.append(source.fault(("rows", i, "paper"), "an adopted row has no values of ours to compare with the paper's"))
    if "adopted" in row and "source" not in row:
        faults.append(source.fault(("rows", i, "adopted"), "adopted values need a `source`"))
    return faults
