"""The language of specs, as frozen dataclasses: what to run, before it is resolved into Steps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from simclr_spec.core.errors import Fault, SpecError, did_you_mean
from simclr_spec.language import schema
from simclr_spec.language.coordinates import matches
from simclr_spec.language.document import Document, Path, load
from simclr_spec.language.settings import Setting, leaves
from simclr_spec.stages.kinds import KINDS

__all__ = ["MOST_ENCODERS", "EncoderAxes", "Reference", "Spec", "Stage", "read_spec"]

MOST_ENCODERS = 10_000

_GRID: Path = ("encoders",)


@dataclass(frozen=True, kw_only=True)
class EncoderAxes:
    """One row of a spec's `encoders`. None = the recipe's head."""

    depth: int
    width: int
    sk: bool
    head_layers: int | None = None
    head_width: int | None = None

    def coordinates(self) -> dict[str, Any]:
        """Only what is set."""
        return {key: value for key, value in vars(self).items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A stage, and coordinates of its Steps that are fixed; the others equal those of the Step that refers to it."""

    stage: str
    where: Mapping[str, Any]
    path: Path
    at: Path
    """of the stage's name"""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A named stage: its parent, its axes, and the values it sets."""

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


@dataclass(frozen=True, kw_only=True)
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
    rows: tuple[tuple[EncoderAxes, Path], ...]
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
        document=document,
        title=data["title"],
        description=data.get("description", ""),
        recipe=data["recipe"],
        dataset=data.get("dataset"),
        scale=data.get("scale"),
        rows=tuple((row.encoder, row.path) for row in _encoders(document, faults)),
        seeds=tuple(data.get("seeds", (0,))),
        stages=stages,
        sound=tuple(_ordered(document, stages, faults)),
        faults=tuple(faults),
    )


def _stage(document: Document, name: str, table: dict[str, Any]) -> Stage:
    path, kind = ("stages", name), KINDS[table["kind"]]
    dataset, parent = table.get("dataset"), kind.parent
    return Stage(
        name=name,
        kind=kind.name,
        path=path,
        parent=_reference(table[parent.role], (*path, parent.role)) if parent else None,
        encoders=tuple(_listed(table.get("encoders"))),
        fractions=tuple(float(value) for value in _listed(table.get("label_fraction"))),
        per_class=tuple(_listed(table.get("labels_per_class"))),
        from_layers=tuple(_listed(table.get("from_layer"))),
        seeds=tuple(table.get("seeds", ())),
        dataset=dataset if isinstance(dataset, str) else None,
        settings={
            key: value for key, value in leaves(document, path, schema.fields(kind.name), "spec") if key not in kind.axes
        },
    )


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _reference(value: str | dict[str, Any], path: Path) -> Reference:
    if isinstance(value, str):
        return Reference(stage=value, where={}, path=path, at=path)
    where = {key: wanted for key, wanted in value.items() if key != "stage"}
    return Reference(stage=value["stage"], where=where, path=path, at=(*path, "stage"))


def _ordered(document: Document, stages: Mapping[str, Stage], faults: list[Fault]) -> Iterator[Stage]:
    """Parents before children, else as written; without those that come from a wrong reference or a cycle, told once each."""
    parents = {name: [stage.parent.stage] if stage.parent else [] for name, stage in stages.items()}
    for stage in stages.values():
        if found := [*_misled(document, stage, stages)]:
            faults += found
            del parents[stage.name]
    while (cycle := _cycle(parents)) is not None:
        faults.append(_needs_itself(document, stages, cycle))
        for name in cycle:
            del parents[name]
    for name in _as_written(parents):
        if name in parents and all(parent in parents for parent in parents[name]):
            yield stages[name]
        else:
            parents.pop(name, None)  # and, as they come later, all that start from it


def _cycle(parents: Mapping[str, Sequence[str]]) -> list[str] | None:
    """One cycle of stages, each followed by the one that it starts from, beginning with the one written first."""
    try:
        TopologicalSorter(parents).prepare()
    except CycleError as error:
        cycle = error.args[1][:0:-1]
        first = min(range(len(cycle)), key=lambda at: [*parents].index(cycle[at]))
        return [*cycle[first:], *cycle[:first]]
    return None


def _as_written(parents: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """In topological order; of those that may come next, the one written first."""
    places = {name: place for place, name in enumerate(parents)}
    sorter = TopologicalSorter(parents)
    sorter.prepare()
    ready: list[str] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()], key=lambda name: places.get(name, -1))
        yield ready[0]
        sorter.done(ready.pop(0))


def _allowed(stage: Stage) -> tuple[str, ...]:
    """The kinds from which its kind starts."""
    parent = KINDS[stage.kind].parent
    return parent.kinds if parent else ()


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
    elif (kind := stages[parent.stage].kind) not in _allowed(stage):
        allowed = " or ".join(_allowed(stage))
        yield document.fault(parent.at, f"a {stage.kind} starts from a {allowed} stage; {parent.stage!r} is a {kind}")


def _needs_itself(document: Document, stages: Mapping[str, Stage], cycle: Sequence[str]) -> Fault:
    first = stages[cycle[0]]
    at = first.parent.at if first.parent else first.path
    return document.fault(at, f"these stages need each other: {' → '.join([*cycle, first.name])}")


class _Row(NamedTuple):
    """An encoder, its table (a grid's rows have only the grid), and where each of its values is written."""

    encoder: EncoderAxes
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


def _encoder(row: dict[str, Any]) -> EncoderAxes:
    return EncoderAxes(**{"width": 1, "sk": False, **row})


def _encoders(document: Document, faults: list[Fault]) -> Iterable[_Row]:
    """Every encoder once; one with SK on basic blocks stays, for the faults of the stages that need it."""
    rows: dict[EncoderAxes, _Row] = {}
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
