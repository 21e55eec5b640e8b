"""The language of specs, as frozen dataclasses: what to run, before it is resolved into Steps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from simclr_spec.coordinates import matches
from simclr_spec.document import Document, Path, load
from simclr_spec.errors import Fault, SpecError
from simclr_spec.spec import schema
from simclr_spec.spec.settings import Setting, leaves

__all__ = ["MOST_ENCODERS", "Encoder", "Reference", "Spec", "Stage", "read_spec"]

MOST_ENCODERS = 10_000

_GRID: Path = ("encoders",)


@dataclass(frozen=True)
class Encoder:
    """One row: the axes of a network. None = the recipe's head."""

    depth: int
    width: int
    sk: bool
    head_layers: int | None = None
    head_width: int | None = None

    def coordinates(self) -> dict[str, Any]:
        """Only what is set."""
        return {key: value for key, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Reference:
    """A stage, and coordinates of its Steps that are fixed; the others equal those of the Step that refers to it."""

    stage: str
    where: Mapping[str, Any]
    path: Path


@dataclass(frozen=True)
class Stage:
    """A named training: its parent, its axes, and the values it sets."""

    name: str
    kind: str
    path: Path
    parent: Reference | None
    encoders: tuple[Mapping[str, Any], ...]
    fractions: tuple[float, ...]
    per_class: tuple[int, ...]
    from_layers: tuple[int, ...]
    seeds: tuple[int, ...]
    dataset: str | None
    settings: Mapping[str, Setting]


@dataclass(frozen=True)
class Spec:
    """A whole spec; `rows` pairs every encoder with its place in the document."""

    document: Document
    title: str
    description: str
    recipe: str
    dataset: str | None
    scale: str | None
    rows: tuple[tuple[Encoder, Path], ...]
    seeds: tuple[int, ...]
    stages: Mapping[str, Stage]

    @property
    def name(self) -> str:
        return self.document.name


def read_spec(name: str, folder: FilePath | None = None) -> Spec:
    """Read, validate and expand the encoders. Raises SpecError with every fault of the file, or UsageError."""
    document = load("spec", name, schema.spec, folder)
    data = document.data
    rows = tuple(_rows(document))
    if found := _row_faults(document, rows):
        raise SpecError(found)
    return Spec(
        document,
        data["title"],
        data.get("description", ""),
        data["recipe"],
        data.get("dataset"),
        data.get("scale"),
        tuple((row.encoder, row.path) for row in rows),
        tuple(data.get("seeds", (0,))),
        {name: _stage(document, name, table) for name, table in data["stages"].items()},
    )


def _stage(document: Document, name: str, table: dict[str, Any]) -> Stage:
    kind, path = table["kind"], ("stages", name)
    role = schema.ROLES.get(kind)
    dataset = table.get("dataset")
    some = table.get("encoders", [])
    return Stage(
        name,
        kind,
        path,
        _reference(table[role], (*path, role)) if role else None,
        (some,) if isinstance(some, dict) else tuple(some),
        tuple(float(value) for value in _listed(table.get("label_fraction"))),
        tuple(_listed(table.get("labels_per_class"))),
        tuple(_listed(table.get("from_layer"))),
        tuple(table.get("seeds", ())),
        dataset if isinstance(dataset, str) else None,
        {key: value for key, value in leaves(document, path, schema.fields(kind), "spec") if key != "from_layer"},
    )


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _reference(value: str | dict[str, Any], path: Path) -> Reference:
    if isinstance(value, str):
        return Reference(value, {}, path)
    return Reference(value["stage"], {key: wanted for key, wanted in value.items() if key != "stage"}, path)


class _Row(NamedTuple):
    """An encoder, its table (a grid's rows have only the grid), and where each of its values is written."""

    encoder: Encoder
    path: Path
    values: Mapping[str, Path]


def _rows(document: Document) -> Iterator[_Row]:
    """Explicit rows, or product x zip groups, less `exclude`, plus `include`."""
    encoders = document.data["encoders"]
    if isinstance(encoders, list):
        yield from _written(encoders, ("encoders",))
        return
    for places in _grid(document, encoders):
        encoder = _encoder({key: value for key, (value, _) in places.items()})
        if not any(matches(encoder.coordinates(), selector) for selector in encoders.get("exclude", [])):
            yield _Row(encoder, _GRID, {key: path for key, (_, path) in places.items()})
    yield from _written(encoders.get("include", []), ("encoders", "include"))


def _written(rows: list[dict[str, Any]], at: Path) -> Iterator[_Row]:
    for i, row in enumerate(rows):
        yield _Row(_encoder(row), (*at, i), {key: (*at, i, key) for key in row})


def _grid(document: Document, encoders: dict[str, Any]) -> Iterator[dict[str, tuple[Any, Path]]]:
    """Rows as key -> value and its place."""
    factors: list[list[dict[str, tuple[Any, Path]]]] = [
        [{key: (value, ("encoders", "product", key, i))} for i, value in enumerate(values)]
        for key, values in encoders.get("product", {}).items()
    ]
    for i, group in enumerate(encoders.get("zip", [])):
        lengths = {key: len(values) for key, values in group.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{key} {length}" for key, length in lengths.items())
            raise SpecError(
                [document.fault(("encoders", "zip", i), f"the lists of a zip group must be equally long, not {told}")]
            )
        factors.append(
            [{key: (group[key][k], ("encoders", "zip", i, key, k)) for key in group} for k in range(max(lengths.values()))]
        )
    if not factors:
        return
    count = 1
    for factor in factors:
        count *= len(factor)
    if count > MOST_ENCODERS:
        raise SpecError(
            [document.fault(("encoders",), f"this grid has {count:,} encoders; at most {MOST_ENCODERS:,} are read", key=True)]
        )
    seen: dict[str, int] = {}
    for number, factor in enumerate(factors):
        for key in factor[0]:
            if seen.setdefault(key, number) != number:
                raise SpecError([document.fault(("encoders",), f"{key} is in two factors of the grid; keep one", key=True)])
    if "depth" not in seen:
        raise SpecError(
            [document.fault(("encoders",), "the grid lacks 'depth'; add it to product or to a zip group", key=True)]
        )
    for combination in itertools.product(*factors):
        yield {key: value for part in combination for key, value in part.items()}


def _encoder(row: dict[str, Any]) -> Encoder:
    return Encoder(**{"width": 1, "sk": False, **row})


def _row_faults(document: Document, rows: tuple[_Row, ...]) -> list[Fault]:
    found: list[Fault] = []
    if not rows:
        found.append(document.fault(("encoders",), "this grid has no encoders; loosen `exclude` or add `include`", key=True))
    first: dict[Encoder, _Row] = {}
    for row in rows:
        if (same := first.setdefault(row.encoder, row)) is not row:
            found.append(_twice(document, same, row))
        if row.encoder.sk and row.encoder.depth < 50:
            sentence = f"SK needs bottleneck blocks; depth {row.encoder.depth} has none; use depth ≥ 50 or sk = false"
            found.append(document.fault(row.values["sk"], sentence))
    return found


def _twice(document: Document, one: _Row, two: _Row) -> Fault:
    """At the later row; of a grid, at the first value that stands elsewhere than the earlier row's."""
    key = next(key for key in two.values if key in one.values and one.values[key] != two.values[key])
    earlier, later = (row.values[key] if row.path == _GRID else row.path for row in (one, two))
    line, column = document.places.of(earlier, key=False)
    return document.fault(later, f"this encoder stands twice; first at {line}:{column}; keep one")
