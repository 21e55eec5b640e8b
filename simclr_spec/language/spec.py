"""The language of specs, as frozen dataclasses: what to run, before it is resolved into Steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path as FilePath
from typing import Any

from simclr_spec.core.errors import Fault, did_you_mean
from simclr_spec.core.fields import properties
from simclr_spec.core.words import either, one
from simclr_spec.language import schema
from simclr_spec.language.document import Document, Path, load
from simclr_spec.language.encoders import EncoderAxes, read_encoders
from simclr_spec.language.schema import SpecKeys
from simclr_spec.language.setting import Setting, leaves
from simclr_spec.language.weights import Set
from simclr_spec.stages.kinds import KINDS


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
    weights: str | Set | None = None
    """the weights file, or already what is meant of it"""
    set: str | None = None
    """of the weights file"""


@dataclass(frozen=True, kw_only=True)
class Spec(SpecKeys):
    """A whole spec; `rows` pairs every encoder with its place in the document.

    `faults` are those of encoders and references: `rows` and `sound` leave out what cannot be planned because of them.
    """

    document: Document
    rows: tuple[tuple[EncoderAxes, Path], ...]
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
    keys: dict[str, Any] = {key: data[key] for key in properties(SpecKeys) if key in data}
    if "seeds" in keys:
        keys["seeds"] = tuple(keys["seeds"])
    stages = {name: _stage(document, name, table) for name, table in data["stages"].items()}
    rows, faults = read_encoders(document)
    sound, faults_of_stages = _ordered(document, stages)
    return Spec(
        **keys,
        document=document,
        rows=tuple((row.encoder, row.path) for row in rows),
        stages=stages,
        sound=sound,
        faults=(*faults, *faults_of_stages),
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
        weights=table.get("weights"),
        set=table.get("set"),
    )


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _reference(value: str | dict[str, Any], path: Path) -> Reference:
    if isinstance(value, str):
        return Reference(stage=value, where={}, path=path, at=path)
    where = {key: wanted for key, wanted in value.items() if key != "stage"}
    return Reference(stage=value["stage"], where=where, path=path, at=(*path, "stage"))


def _ordered(document: Document, stages: Mapping[str, Stage]) -> tuple[tuple[Stage, ...], list[Fault]]:
    """Parents before children, else as written; without those that come from a wrong reference or a cycle, a fault for each."""
    parents = {name: [stage.parent.stage] if stage.parent else [] for name, stage in stages.items()}
    faults: list[Fault] = []
    for stage in stages.values():
        if (fault := _misled(document, stage, stages)) is not None:
            faults.append(fault)
            del parents[stage.name]
    while (cycle := _cycle(parents)) is not None:
        faults.append(_needs_itself(document, stages, cycle))
        for name in cycle:
            del parents[name]
    sound: dict[str, Stage] = {}
    for name in _as_written(parents):
        if name in parents and all(parent in sound for parent in parents[name]):
            sound[name] = stages[name]
    return tuple(sound.values()), faults


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


def _misled(document: Document, stage: Stage, stages: Mapping[str, Stage]) -> Fault | None:
    """The fault of a stage that starts from none, from itself, or from one of a wrong kind."""
    parent, wanted = stage.parent, KINDS[stage.kind].parent
    if parent is None or wanted is None:
        return None
    if parent.stage not in stages:
        hint = did_you_mean(parent.stage, stages.keys() - {stage.name})
        return document.fault(parent.at, f"{parent.path[-1]} {parent.stage!r} is not a stage here{hint}")
    if parent.stage == stage.name:
        return document.fault(parent.at, f"[stages.{stage.name}] needs itself")
    if (kind := stages[parent.stage].kind) not in wanted.kinds:
        sentence = f"{one(stage.kind)} starts from {one(either(wanted.kinds))} stage; {parent.stage!r} is {one(kind)}"
        return document.fault(parent.at, sentence)
    return None


def _needs_itself(document: Document, stages: Mapping[str, Stage], cycle: Sequence[str]) -> Fault:
    first = stages[cycle[0]]
    at = first.parent.at if first.parent else first.path
    return document.fault(at, f"these stages need each other: {' → '.join([*cycle, first.name])}")
