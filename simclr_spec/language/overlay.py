"""Recipes and scales: values per kind of stage, and rules for Steps of some coordinates."""

# No `from __future__ import annotations`: see core/fields.py.
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, reduce
from pathlib import Path
from typing import Literal

from simclr_spec.core.errors import SpecError, UsageError
from simclr_spec.core.fields import NAME, TEXT, Schema, described, file_schema, properties, required, table
from simclr_spec.language.coordinates import Coordinates, as_selector, selector_schema
from simclr_spec.language.declared import absolute
from simclr_spec.language.document import Document, load, referred
from simclr_spec.language.schema import common_fields, fields, settings
from simclr_spec.language.setting import Setting, leaves
from simclr_spec.language.written import free, sourced
from simclr_spec.stages.kinds import KINDS


@dataclass(frozen=True)
class Rule:
    """Values that hold where `when` matches the coordinates."""

    when: Coordinates
    settings: Mapping[str, Setting]


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """A recipe or a scale: values per kind, `common` among them, and ordered rules per kind."""

    document: Document
    title: str
    settings: Mapping[str, Mapping[str, Setting]]
    rules: Mapping[str, tuple[Rule, ...]]
    dataset: str | None
    names_dataset: Document
    """the file in which `dataset` stands: this one, or one that it extends"""
    machine: str | None
    weights: tuple[str, Path | None] | None = None
    """name of the weights file, and the folder in which its path starts"""
    extended: "Overlay | None" = None
    """the recipe at the bottom of those that this one extends: what differs from it is a deviation"""

    @property
    def foundation(self) -> "Overlay":
        """That recipe; itself where it extends none."""
        return self.extended or self


@dataclass(frozen=True, kw_only=True)
class RecipeKeys:
    """What stands above a recipe's tables."""

    title: str = described("one line", TEXT)
    description: str = described("more lines", TEXT, default="")
    extends: str | None = described("name or path of the recipe on top of which this one stands", NAME, default=None)
    dataset: str | None = described("data set of the recipe", NAME, default=None)
    weights: str | None = described("weights that were released with it: those of --weights official", NAME, default=None)


@dataclass(frozen=True, kw_only=True)
class ScaleKeys:
    """What stands above a scale's tables."""

    title: str = described("one line", TEXT)
    description: str = described("more lines", TEXT, default="")
    dataset: str | None = described("data set instead of the spec's", NAME, default=None)
    machine: str | None = described("machine for which costs are estimated; h200 unless written", NAME, default=None)


@cache
def recipe() -> Schema:
    return file_schema("A recipe of simclr-spec", _schema(RecipeKeys, sourced))


@cache
def scale() -> Schema:
    return file_schema("A scale of simclr-spec", _schema(ScaleKeys, free))


def _schema(keys: type[RecipeKeys | ScaleKeys], wrap: Callable[[Schema], Schema]) -> Schema:
    """[common], one table per kind, and [[kind.rules]] of when and set."""
    tables = {"common": settings(common_fields(), wrap)}
    for kind in KINDS:
        values = settings(fields(kind), wrap)
        when = {**selector_schema(), "minProperties": 1}
        rule = table({"when": when, "set": {**values, "minProperties": 1}}, ["when", "set"])
        rules = {"type": "array", "items": rule, "maxItems": 200}
        tables[kind] = {
            **values,
            "properties": {**values["properties"], "rules": rules},
            "description": KINDS[kind].parameters.__doc__,
        }
    return table({**properties(keys), **tables}, required(keys))


def read_overlay(kind: Literal["recipe", "scale"], name: str, folder: Path | None) -> Overlay:
    """A recipe stands on those that it extends. Raises SpecError or UsageError."""
    documents = [load(kind, name, recipe if kind == "recipe" else scale, folder)]
    while (extended := _extended(documents)) is not None:
        documents.append(extended)
    return reduce(_on_top, (_overlay(kind, document) for document in reversed(documents)))


def _extended(documents: Sequence[Document]) -> Document | None:
    """The recipe that the last of these extends. Raises SpecError at the name of none, or of one that stands above."""
    document = documents[-1]
    if "extends" not in document.data:
        return None
    try:
        extended = load("recipe", document.data["extends"], recipe, document.folder)
    except UsageError as error:
        raise SpecError([document.fault(("extends",), str(error))]) from None
    names = [absolute(above.name) for above in documents]
    if (name := absolute(extended.name)) in names:
        cycle = [*(above.name for above in documents[names.index(name) :]), extended.name]
        sentence = f"these recipes extend each other: {' → '.join(cycle)}" if len(cycle) > 2 else "this recipe extends itself"
        raise SpecError([document.fault(("extends",), sentence)])
    return extended


def _on_top(extended: Overlay, overlay: Overlay) -> Overlay:
    """The extended recipe with another one's values on top of it, table by table, and that one's rules after its own."""
    names = overlay if overlay.dataset is not None else extended
    return replace(
        overlay,
        dataset=names.dataset,
        names_dataset=names.names_dataset,
        weights=overlay.weights or extended.weights,
        extended=extended.foundation,
        settings={kind: {**extended.settings[kind], **values} for kind, values in overlay.settings.items()},
        rules={kind: (*extended.rules[kind], *rules) for kind, rules in overlay.rules.items()},
    )


def _overlay(kind: Literal["recipe", "scale"], document: Document) -> Overlay:
    """Of one file alone."""
    common = dict(leaves(document, ("common",), common_fields(), kind))
    stages = {stage: dict(leaves(document, (stage,), fields(stage), kind)) for stage in KINDS}
    return Overlay(
        document=document,
        title=document.data["title"],
        settings={"common": common, **stages},
        rules={stage: _rules(document, stage, kind) for stage in KINDS},
        dataset=document.data.get("dataset"),
        names_dataset=document,
        machine=referred(document, "machine"),
        weights=(document.data["weights"], document.folder) if "weights" in document.data else None,
    )


def _rules(document: Document, stage: str, layer: Literal["recipe", "scale"]) -> tuple[Rule, ...]:
    rules = document.data.get(stage, {}).get("rules", [])
    return tuple(
        Rule(rule["when"], dict(leaves(document, (stage, "rules", i, "set"), fields(stage), layer, as_selector(rule["when"]))))
        for i, rule in enumerate(rules)
    )
