"""Recipes and scales: values per kind of stage, and rules for Steps of some coordinates."""

# No `from __future__ import annotations`: see core/fields.py.
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from simclr_spec.core.fields import NAME, TEXT, Schema, described, file_schema, properties, required, table
from simclr_spec.language.coordinates import Coordinates, selector_schema, show
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
    dataset: str | None = None
    machine: str | None = None


@dataclass(frozen=True, kw_only=True)
class RecipeKeys:
    """What stands above a recipe's tables."""

    title: str = described("one line", TEXT)
    description: str = described("more lines", TEXT, default="")
    dataset: str | None = described("data set of the recipe", NAME, default=None)


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
        tables[kind] = {**values, "properties": {**values["properties"], "rules": rules}, "description": KINDS[kind].__doc__}
    return table({**properties(keys), **tables}, required(keys))


def read_overlay(kind: Literal["recipe", "scale"], name: str, folder: Path | None) -> Overlay:
    """Raises SpecError or UsageError."""
    document = load(kind, name, recipe if kind == "recipe" else scale, folder)
    return Overlay(
        document=document,
        title=document.data["title"],
        settings={
            "common": dict(leaves(document, ("common",), common_fields(), kind)),
            **{stage: dict(leaves(document, (stage,), fields(stage), kind)) for stage in KINDS},
        },
        rules={stage: _rules(document, stage, kind) for stage in KINDS},
        dataset=document.data.get("dataset"),
        machine=referred(document, "machine"),
    )


def _rules(document: Document, stage: str, layer: Literal["recipe", "scale"]) -> tuple[Rule, ...]:
    rules = document.data.get(stage, {}).get("rules", [])
    return tuple(
        Rule(rule["when"], dict(leaves(document, (stage, "rules", i, "set"), fields(stage), layer, show(rule["when"]))))
        for i, rule in enumerate(rules)
    )
