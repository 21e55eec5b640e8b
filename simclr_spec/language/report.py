"""The report language: rows × columns of coordinates, a metric, and the paper's numbers beside them.

A cell selects the Steps that agree with both its row and its column: exactly one per chain of seeds.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from simclr_spec.core.errors import Fault, SpecError, did_you_mean
from simclr_spec.language import document
from simclr_spec.language.coordinates import selector_schema
from simclr_spec.language.document import Document


def _f(doc: str, schema: dict[str, Any], **default: Any) -> Any:
    """A field with its documentation and JSON Schema; required unless it has a default."""
    return field(metadata={"schema": {"description": doc, **schema}}, **default)


_TEXT = {"type": "string", "minLength": 1}
_WHERE = selector_schema()
_NUMBERS = {"type": "array", "items": {"anyOf": [{"type": "number"}, {"enum": ["none"]}]}, "minItems": 1}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: what its cells have in common."""

    title: str = _f("heading", _TEXT)
    where: dict[str, Any] = _f("coordinates of the Steps in this column", _WHERE, default_factory=dict)
    metric: str | None = _f("metric of this column, else the report's", _TEXT, default=None)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: Steps of the plan, or numbers adopted from a publication."""

    title: str = _f("heading", _TEXT)
    where: dict[str, Any] | None = _f("coordinates of the Steps in this row", _WHERE, default=None)
    columns: tuple[str, ...] | None = _f(
        "titles of the columns in which this row has cells; all unless given",
        {"type": "array", "items": _TEXT, "minItems": 1},
        default=None,
    )
    paper: tuple[float | None, ...] | None = _f(
        'the paper\'s values, one per cell of this row; "none" where it has none', _NUMBERS, default=None
    )
    adopted: tuple[float | None, ...] | None = _f(
        "values adopted from a publication, in place of `where`", _NUMBERS, default=None
    )
    source: str = _f("where adopted values come from", _TEXT, default="")
    parameters: float | None = _f("the paper's parameters of the encoder, in millions", {"type": "number"}, default=None)


@dataclass(frozen=True, kw_only=True)
class Report:
    """One table."""

    title: str = _f("title of the table", _TEXT)
    spec: str = _f("the spec whose plan is shown; a path starts in the report's folder", _TEXT)
    metric: str = _f("metric of the cells: top1, top5, loss, ...; knn_top1 of a pretraining", _TEXT)
    source: str = _f("where the paper's values stand", _TEXT, default="")
    tolerance: float | None = _f(
        "largest |ours - paper| that matches, in the metric's unit", {"type": "number", "minimum": 0}, default=None
    )
    columns: tuple[Column, ...] = _f("columns, from the left", {"type": "array", "minItems": 1, "maxItems": 50})
    rows: tuple[Row, ...] = _f("rows, from the top", {"type": "array", "minItems": 1, "maxItems": 500})


def schema(cls: type[Any] = Report) -> dict[str, Any]:
    """JSON Schema (Draft 4) of a report file, from the classes above."""
    properties = {f.name: dict(f.metadata["schema"]) for f in fields(cls)}
    if cls is Report:
        properties["columns"]["items"] = schema(Column)
        properties["rows"]["items"] = schema(Row)
        properties["$schema"] = {"type": "string"}
    required = [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]
    return {
        "type": "object",
        "description": cls.__doc__ or "",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


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
    rows = tuple(Row(**{key: _plain(value) for key, value in row.items()}) for row in data["rows"])
    columns = tuple(Column(**column) for column in data["columns"])
    plain = {key: value for key, value in data.items() if key != "$schema"}
    return Report(**plain | {"spec": document.referred(source, "spec"), "columns": columns, "rows": rows}), source


def _plain(value: Any) -> Any:
    return tuple(None if item == "none" else item for item in value) if isinstance(value, list) else value


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
