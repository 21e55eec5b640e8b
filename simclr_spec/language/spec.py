"""The language of specs, as frozen dataclasses: what to run, before it is resolved into Steps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from simclr_spec.core.errors import Fault, SpecError, did_you_mean
from simclr_spec.language import schema
from simclr_spec.language.coordinates import matches
from simclr_spec.language.document import Document, Path, load
from simclr_spec.language.setting import Setting, leaves

__all__ = ["MOST_ENCODERS", "Encoder", "Reference", "Spec", "Stage", "read_spec"]

MOST_ENCODERS = 10_000

_GRID: Path = ("encoders",)
_PARENTS = {"finetune": ("pretrain",), "linear_eval": ("pretrain",), "distill": ("finetune", "distill")}


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
    at: Path
    """of the stage's name"""


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
    """A whole spec; `rows` pairs every encoder with its place in the document.

    `faults` are those of encoders and references: `rows` and `sound` leave out what cannot be planned because of them.
    """

    document: Document
    title: str
    description: str
    recipe: str
    dataset: str | None
    scale: str | None
    rows: tuple[tuple[Encoder, Path], ...]
    seeds: tuple[int, ...]
    stages: Mapping[str, Stage]
    sound: tuple[Stage, ...]
    """parents before children"""
    faults: tuple[Fault, ...]

    @property
    def name(self) -> str:
        return self.document.name


def read_spec(name: str, folder: FilePath | None = None) -> Spec:
    """Read, validate, expand the encoders, order the stages. Raises SpecError when the schema is not met, or UsageError."""
    document = load("spec", name, schema.spec, folder)
    data = document.data
    faults: list[Fault] = []
    stages = {name: _stage(document, name, table) for name, table in data["stages"].items()}
    return Spec(
        document,
        data["title"],
        data.get("description", ""),
        data["recipe"],
        data.get("dataset"),
        data.get("scale"),
        tuple((row.encoder, row.path) for row in _encoders(document, faults)),
        tuple(data.get("seeds", (0,))),
        stages,
        tuple(_ordered(document, stages, faults)),
        tuple(faults),
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
        return Reference(value, {}, path, path)
    where = {key: wanted for key, wanted in value.items() if key != "stage"}
    return Reference(value["stage"], where, path, (*path, "stage"))


def _ordered(document: Document, stages: Mapping[str, Stage], faults: list[Fault]) -> Iterable[Stage]:
    """Parents before children, without those that come from a wrong reference or a circle; each of these is told once."""
    wrong = {stage.name: fault for stage in stages.values() for fault in _misled(document, stage, stages)}
    ordered: dict[str, Stage] = {}
    for stage in stages.values():
        chain: dict[str, Stage] = {}
        one: Stage | None = stage
        while one is not None and one.name not in ordered:
            if one.name in chain:
                wrong[one.name] = _circle(document, one, [*chain])
            if one.name in wrong:
                break
            chain[one.name] = one
            one = stages[one.parent.stage] if one.parent else None
        else:
            ordered.update((one.name, one) for one in reversed(chain.values()))
    faults += wrong.values()
    return ordered.values()


def _misled(document: Document, stage: Stage, stages: Mapping[str, Stage]) -> Iterator[Fault]:
    """The fault of a stage that starts from none, from itself, or from one of a wrong kind."""
    parent = stage.parent
    if parent is None:
        return
    if parent.stage not in stages:
        hint = did_you_mean(parent.stage, stages.keys() - {stage.name})
        yield document.fault(parent.at, f"{parent.path[-1]} {parent.stage!r} is not a stage here{hint}")
    elif parent.stage == stage.name:
        yield document.fault(parent.at, f"[stages.{stage.name}] needs itself")
    elif (kind := stages[parent.stage].kind) not in _PARENTS[stage.kind]:
        allowed = " or ".join(_PARENTS[stage.kind])
        yield document.fault(parent.at, f"a {stage.kind} starts from a {allowed} stage; {parent.stage!r} is a {kind}")


def _circle(document: Document, stage: Stage, chain: list[str]) -> Fault:
    circle = " → ".join([*chain[chain.index(stage.name) :], stage.name])
    return document.fault(stage.parent.at if stage.parent else stage.path, f"these stages need each other: {circle}")


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
    groups = encoders.get("zip", [])
    for i, group in enumerate(groups):
        factors.append(
            [
                {key: (values[k], ("encoders", "zip", i, key, k)) for key, values in group.items()}
                for k in range(min(map(len, group.values())))
            ]
        )
    if not factors:
        return
    if found := [*_unequal(document, groups), *_misshapen(document, factors)]:
        raise SpecError(found)
    for combination in itertools.product(*factors):
        yield {key: value for part in combination for key, value in part.items()}


def _unequal(document: Document, groups: list[dict[str, list[Any]]]) -> Iterator[Fault]:
    for i, group in enumerate(groups):
        lengths = {key: len(values) for key, values in group.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{key} {length}" for key, length in lengths.items())
            yield document.fault(("encoders", "zip", i), f"the lists of a zip group must be equally long, not {told}")


def _misshapen(document: Document, factors: list[list[dict[str, Any]]]) -> Iterator[Fault]:
    """Of a grid as a whole."""
    keys = [key for factor in factors for key in factor[0]]
    count = math.prod(map(len, factors))
    if count > MOST_ENCODERS:
        yield document.fault(_GRID, f"this grid has {count:,} encoders; at most {MOST_ENCODERS:,} are read", key=True)
    for key in dict.fromkeys(key for key in keys if keys.count(key) > 1):
        yield document.fault(_GRID, f"{key} is in two factors of the grid; keep one", key=True)
    if "depth" not in keys:
        yield document.fault(_GRID, "the grid lacks 'depth'; add it to product or to a zip group", key=True)


def _encoder(row: dict[str, Any]) -> Encoder:
    return Encoder(**{"width": 1, "sk": False, **row})


def _encoders(document: Document, faults: list[Fault]) -> Iterable[_Row]:
    """Every encoder once; one with SK on basic blocks stays, for the faults of the stages that need it."""
    rows: dict[Encoder, _Row] = {}
    try:
        for row in _rows(document):
            if (same := rows.setdefault(row.encoder, row)) is not row:
                faults.append(_twice(document, same, row))
            elif row.encoder.sk and row.encoder.depth < 50:
                sentence = f"SK needs bottleneck blocks; depth {row.encoder.depth} has none; use depth ≥ 50 or sk = false"
                faults.append(document.fault(row.values["sk"], sentence))
    except SpecError as error:
        faults += error.faults
        return ()
    if not rows:
        faults.append(document.fault(_GRID, "this grid has no encoders; loosen `exclude` or add `include`", key=True))
    return rows.values()


def _twice(document: Document, one: _Row, two: _Row) -> Fault:
    """At the later row; of a grid, at the first value that stands elsewhere than the earlier row's."""
    key = next(key for key in two.values if key in one.values and one.values[key] != two.values[key])
    earlier, later = (row.values[key] if row.path == _GRID else row.path for row in (one, two))
    line, column = document.places.of(earlier, key=False)
    return document.fault(later, f"this encoder stands twice; first at {line}:{column}; keep one")
