"""The report language: rows × columns of coordinates, a metric, the paper's numbers beside them, and figures of the cells.

A cell selects the Steps that agree with both its row and its column: exactly one per chain of seeds. Its address is
REPORT/ROW/COLUMN, by their names.
"""

# No `from __future__ import annotations`: see core/fields.py.
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from simclr_spec.core import fields
from simclr_spec.core.errors import Fault, SpecError, UsageError, did_you_mean
from simclr_spec.core.fields import NAME, NOT_EMPTY, POSITIVE, build, described, listed
from simclr_spec.language import document, figure
from simclr_spec.language.coordinates import selector_schema
from simclr_spec.language.document import Document
from simclr_spec.language.figure import Figure

OPEN = "open"
"""A value that the paper has and that is not known here: it is a picture, or stands in an appendix that was not at hand."""
_WHERE = selector_schema()
_TITLES = {"items": {"type": "string", **NOT_EMPTY}, "minItems": 1}
_NUMBERS = {"items": {"anyOf": [{"type": "number"}, {"enum": ["none"]}]}, "minItems": 1}
_OPEN_TOO = {"items": {"anyOf": [{"type": "number"}, {"enum": ["none", OPEN]}]}, "minItems": 1}
_ADDRESS = {"pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$", "maxLength": 100}
_ADDRESSES = {"pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9._-]+)*$", "maxLength": 100}
_SPECS = {"anyOf": [NAME, listed(NAME, 20, "several specs")]}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: what its cells have in common."""

    title: str = described("heading", NOT_EMPTY)
    name: str = described("in the address of its cells; else made from the title", _ADDRESSES, default="")
    where: dict[str, Any] = described("coordinates of the Steps in this column", _WHERE, default_factory=dict)
    metric: str | None = described("metric of this column, else the report's", NOT_EMPTY, default=None)
    remeasured: str = described(
        "WEIGHTS/SET whose re-measured numbers stand here as adopted ones, in place of Steps: of the row's network",
        _ADDRESSES,
        default="",
    )

    @property
    def address(self) -> str:
        return self.name or slug(self.title)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: Steps of the plan, or numbers adopted from a publication."""

    title: str = described("heading", NOT_EMPTY)
    name: str = described("in the address of its cells; else made from the title", _ADDRESS, default="")
    where: dict[str, Any] | None = described("coordinates of the Steps in this row", _WHERE, default=None)
    columns: tuple[str, ...] | None = described(
        "titles of the columns in which this row has cells; all unless given", _TITLES, default=None
    )
    paper: tuple[float | str | None, ...] | None = described(
        'the paper\'s values, one per cell of this row; "none" where it has none, "open" where it has one that is not known',
        _OPEN_TOO,
        default=None,
    )
    paper_from: str = described(
        "REPORT/ROW whose paper's values stand beside these cells, too: in the columns of the same names",
        _ADDRESSES,
        default="",
    )
    adopted: tuple[float | None, ...] | None = described(
        "values adopted from a publication, in place of `where`", _NUMBERS, default=None
    )
    adopted_from: str = described(
        "REPORT/ROW whose adopted values stand here, too: in the columns of the same names", _ADDRESSES, default=""
    )
    source: str = described(
        "where adopted values come from; or numbers in place of the paper's: shown as `elsewhere`, they judge nothing",
        NOT_EMPTY,
        default="",
    )

    @property
    def address(self) -> str:
        return self.name or slug(self.title)


@dataclass(frozen=True, kw_only=True)
class Report:
    """One table and its figures."""

    title: str = described("title of the table", NOT_EMPTY)
    spec: tuple[str, ...] = described("the spec, or specs, whose plan is shown; a path starts in the report's folder", _SPECS)
    metric: str = described(
        "metric of the cells: top1, top5, loss, ...; knn_top1 of a pretraining; or what the plan knows: parameters, "
        "head_parameters (millions), train_steps, images_seen",
        NOT_EMPTY,
        default="top1",
    )
    source: str = described("where the paper's values stand: what has one belongs to the paper", NOT_EMPTY, default="")
    paper_of: tuple[str, ...] = described(
        "reports whose paper's values stand beside cells of the same Steps and metric", {"items": NAME}, default=()
    )
    tolerance: float | None = described(
        "largest |ours - paper| that matches where nothing was trained, in the metric's unit", default=None, minimum=0
    )
    margin: float | None = described(
        "trainings match within ±margin of the paper, by two one-sided t-tests at 5 % over their seeds, in the metric's unit",
        POSITIVE,
        default=None,
    )
    notes: tuple[str, ...] = described("sentences below the table", _TITLES, default=())
    paper_notes: tuple[str, ...] = described(
        "sentences about the paper's values: below the table at the paper's scale only", _TITLES, default=()
    )
    columns: tuple[Column, ...] = described("columns, from the left", minItems=1, maxItems=50, default=())
    rows: tuple[Row, ...] = described("rows, from the top", minItems=1, maxItems=500, default=())
    figures: tuple[Figure, ...] = described("figures of the table's cells", maxItems=20, default=())


def slug(title: str) -> str:
    """`50 2× SK` -> `50-2x-sk`."""
    return re.sub(r"[^a-z0-9.]+", "-", title.lower().replace("×", "x")).strip("-.") or "-"


@cache
def schema() -> dict[str, Any]:
    return fields.file_schema("A report of simclr-spec", fields.schema(Report))


def load(name: str, folder: Path | None = None) -> tuple[Report, Document]:
    """The report declared as `name`, or in the file at the path `name`. Raises SpecError with every fault."""
    source = document.load("report", name, schema, folder)
    if faults := _faults(source):
        raise SpecError(faults)
    rows = source.data.get("rows", [])
    referred = {
        "spec": document.all_referred(source, "spec", "spec"),
        "paper_of": document.all_referred(source, "report", "paper_of"),
        "rows": [_borrowing(source, i, row) for i, row in enumerate(rows)],
    }
    return build(Report, source.content | referred), source


def _faults(source: Document) -> list[Fault]:
    """Of the report itself, beyond its schema."""
    columns, rows = source.data.get("columns", []), source.data.get("rows", [])
    titles = [column["title"] for column in columns]
    faults = [
        *_repeated(source, "columns", columns),
        *_repeated(source, "rows", rows),
        *(fault for i, row in enumerate(rows) for fault in _row_faults(source, i, row, titles)),
        *figure.faults(source, titles, rows),
    ]
    if not (columns and rows) and not (not columns and not rows and source.data.get("figures")):
        faults.append(source.fault((), "a report needs `columns` and `rows`, or figures alone"))
    return faults


_BORROWED = {"adopted_from": "adopted", "paper_from": "paper"}
"""Key of a row -> what it takes of another report's row."""


def _borrowing(source: Document, i: int, row: dict[str, Any]) -> dict[str, Any]:
    """The row with the numbers and the source of another report's, where it names one. Raises SpecError."""
    key = next((key for key in _BORROWED if key in row), None)
    if key is None:
        return row
    what, place, columns = _BORROWED[key], ("rows", i, key), source.data["columns"]
    name, _, wanted = row[key].rpartition("/")
    data = _other(source, place, name, wanted)
    theirs = {_address(each): each for each in data.get("rows", []) if what in each}
    if what == "paper":  # a source of their own tells that numbers are not the paper's
        theirs = {address: each for address, each in theirs.items() if "source" not in each}
    if wanted not in theirs:
        hint, called = did_you_mean(wanted, theirs), "adopted values" if what == "adopted" else "values of the paper"
        raise SpecError([source.fault(place, f"no row of the report {name!r} with {called} is named {wanted!r}{hint}")])
    numbers = dict(zip(_cells(data["columns"], theirs[wanted]), theirs[wanted][what], strict=True))
    numbers |= {_address(column): None for column in columns if "remeasured" in column}
    own = _cells(columns, row)
    if lost := [each for each in own if each not in numbers]:
        raise SpecError([source.fault(place, f"{row[key]} has no column {lost[0]!r}{did_you_mean(lost[0], numbers)}")])
    their_source = theirs[wanted].get("source") or data.get("source", "")
    return row | {what: [numbers[each] for each in own], "source": their_source}


def _other(source: Document, place: tuple[Any, ...], name: str, wanted: str) -> dict[str, Any]:
    """The report that a row borrows from. Raises SpecError."""
    if not name:
        raise SpecError([source.fault(place, f"{wanted!r} is no row: name REPORT/ROW, as in table3/simclr-r50-4x")])
    try:
        other = document.load("report", name, schema, source.folder)
    except UsageError as error:
        raise SpecError([source.fault(place, str(error))]) from None
    if faults := _faults(other):
        raise SpecError([source.fault(place, f"the report {name!r} has faults of its own, first: {faults[0]}")])
    return other.data


def _address(written: dict[str, Any]) -> str:
    return written.get("name") or slug(written["title"])


def _cells(columns: list[dict[str, Any]], row: dict[str, Any]) -> list[str]:
    """Names of the columns in which a row has cells, in the row's order."""
    names = {column["title"]: _address(column) for column in columns}
    return [names[title] for title in row.get("columns", names) if title in names]


def _repeated(source: Document, key: str, written: list[dict[str, Any]]) -> list[Fault]:
    """Titles that stand twice, or else addresses."""
    titles = [each["title"] for each in written]
    if twice := [i for i, title in enumerate(titles) if title in titles[:i]]:
        sentence = "title {!r} stands twice; name each of the {} differently"
        return [source.fault((key, i, "title"), sentence.format(titles[i], key)) for i in twice]
    found = [_address(each) for each in written]
    return [
        source.fault((key, i, "name" if "name" in written[i] else "title"), f"{text!r} is another one's name; give it a `name`")
        for i, text in enumerate(found)
        if text in found[:i]
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
    if sum(key in row for key in ("where", "adopted", "adopted_from")) != 1:
        faults.append(source.fault(("rows", i), f"row {row['title']!r} needs either `where` or `adopted` or `adopted_from`"))
    for key in ("paper", "paper_from"):
        if "where" not in row and key in row:
            faults.append(source.fault(("rows", i, key), "an adopted row has no values of ours to compare with the paper's"))
    if "paper_from" in row and "where" in row:
        sentence = f"is that of {row['paper_from']} (paper_from): leave it out here"
        faults += [source.fault(("rows", i, key), f"{key!r} {sentence}") for key in ("paper", "source") if key in row]
    if "adopted" in row and "source" not in row:
        faults.append(source.fault(("rows", i, "adopted"), "adopted values need a `source`"))
    return faults
