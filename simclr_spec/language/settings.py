"""A value with its origin, and the files that set values: recipes, scales and data sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path as FilePath
from typing import Any, Literal, cast

from simclr_spec.core.errors import DataError, Fault, SpecError
from simclr_spec.data.loader import FileLoader
from simclr_spec.data.registry import LOADERS, USUAL
from simclr_spec.data.roots import data_roots
from simclr_spec.language import schema
from simclr_spec.language.declared import absolute
from simclr_spec.language.document import Document, Path, load, referred
from simclr_spec.stages.kinds import KINDS

COUNTED: ContextVar[Mapping[str, Mapping[str, int | None]]] = ContextVar("COUNTED", default={})  # noqa: B039 - never changed
"""Data-set file -> what was counted when it was run last: it holds where the images are not at hand."""

LayerName = Literal["dataset", "recipe", "scale", "spec", "--set", "axis", "fixed"]


@dataclass(frozen=True, eq=False)
class Setting:
    """One resolved value and where it comes from."""

    value: Any
    layer: LayerName
    document: Document | None = None
    path: Path = ()
    source: str = ""
    status: str = ""
    rule: str = ""
    """the rule's `when`, as a person would type it"""
    text: str = ""
    """what was typed, for --set; where it was counted, for a data set"""
    recipe: Setting | None = None
    """what the recipe says, when this value is another one"""

    @property
    def origin(self) -> str:
        """`specs/recipes/simclrv2.toml:31`, `--set pretrain.epochs=2`, ..."""
        if self.document is not None:
            return f"{self.document.file}:{self.document.line(self.path)}"
        return self.text or self.layer

    @property
    def is_deviation(self) -> bool:
        """Another value than the recipe's, whatever status its file claims for it."""
        return self.recipe is not None

    @property
    def is_assumption(self) -> bool:
        """The recipe's own choice where the paper and its code are silent, even if it was written once more."""
        return self.recipe is None and self.status == "assumed"


@dataclass(frozen=True)
class Rule:
    """Values that hold where `when` matches the coordinates."""

    when: Mapping[str, Any]
    settings: Mapping[str, Setting]


@dataclass(frozen=True)
class Overlay:
    """A recipe or a scale: values per kind, `common` among them, and ordered rules per kind."""

    document: Document
    title: str
    settings: Mapping[str, Mapping[str, Setting]]
    rules: Mapping[str, tuple[Rule, ...]]
    dataset: str | None = None
    machine: str | None = None


def read_overlay(kind: Literal["recipe", "scale"], name: str, folder: FilePath | None) -> Overlay:
    """Raises SpecError or UsageError."""
    document = load(kind, name, schema.recipe if kind == "recipe" else schema.scale, folder)
    data = document.data
    settings: dict[str, dict[str, Setting]] = {"common": dict(leaves(document, ("common",), schema.common_fields(), kind))}
    rules = {}
    for stage in KINDS:
        known = schema.fields(stage)
        settings[stage] = dict(leaves(document, (stage,), known, kind))
        rules[stage] = tuple(
            Rule(rule["when"], dict(leaves(document, (stage, "rules", i, "set"), known, kind, _when(rule["when"]))))
            for i, rule in enumerate(data.get(stage, {}).get("rules", []))
        )
    return Overlay(document, data["title"], settings, rules, data.get("dataset"), referred(document, "machine"))


def read_dataset(name: str, folder: FilePath | None) -> tuple[Document, dict[str, Setting]]:
    """The facts of a data set, as `dataset.*`. Raises SpecError or UsageError.

    What the file leaves out: it has its file's name, is an image folder, is not verified, and is counted.
    """
    document = load("dataset", name, schema.dataset, folder)
    known = {key.removeprefix("dataset."): leaf for key, leaf in schema.common_fields().items() if key.startswith("dataset.")}
    usual = {"name": FilePath(document.name).stem, "loader": USUAL, "digest": ""}
    facts = {key: Setting(value, "dataset", document) for key, value in usual.items()}
    facts.update(leaves(document, (), known, "dataset"))
    if "classes" in facts and facts["classes"].value is None:
        facts.setdefault("test_images", facts["classes"])
    if lacking := [key for key in known if key not in facts]:
        counts = _counted(document, facts, lacking)
        facts.update((key, counts[key]) for key in lacking)
    return document, {f"dataset.{key}": facts[key] for key in known}


def _counted(document: Document, facts: Mapping[str, Setting], lacking: Sequence[str]) -> dict[str, Setting]:
    """The numbers of an image folder, which its data-set file leaves out; the folder lies under a data root."""
    loader, name = LOADERS[facts["loader"].value], facts["name"].value
    labelled = "classes" in lacking or facts["classes"].value is not None
    if not isinstance(loader, FileLoader):
        raise SpecError([document.fault((), f"the file lacks the key {key!r}", key=True) for key in lacking])
    wanted = f"{', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not written here, so the images are counted, but"
    try:
        place = cast("FilePath", loader.find(name, data_roots(), labelled=labelled))
        found = loader.scan(place, labelled=labelled)
    except DataError as error:
        if not (before := COUNTED.get().get(absolute(document.name), {})).keys() >= set(lacking):
            raise SpecError([document.fault((), f"{wanted} {error}", key=True)]) from None
        return {key: Setting(before[key], "dataset", text="scanned in the last run; images not here") for key in lacking}
    if found.counts[2] == 1:
        one = f"{place}/train has one class, {found.classes[0]!r}, and at least 2 are needed; classes = 'none' is without any"
        raise SpecError([document.fault((), f"{wanted} {one}", key=True)])
    if found.faults and 0 in found.counts:
        raise SpecError([document.fault((), f"{wanted} {fault}", key=True) for fault in found.faults])
    counts = dict(zip(("train_images", "test_images", "classes"), found.counts, strict=True))
    return {key: Setting(value, "dataset", text=f"scanned from {place}") for key, value in counts.items()}


def counted(settings: Mapping[str, Setting]) -> dict[str, Any]:
    """Of the facts `dataset.*` those that the images were counted for."""
    names = ("train_images", "test_images", "classes")
    found = {name: settings[f"dataset.{name}"] for name in names}
    return {name: one.value for name, one in found.items() if one.layer == "dataset" and one.document is None}


def label_lists(document: Document) -> dict[float, dict[str, Setting]]:
    """What a data set's published lists say of `labels`, by fraction."""
    found = {}
    for i, listed in enumerate(document.data.get("label_lists", ())):
        told, path = listed["list_digest"], ("label_lists", i, "list_digest")
        make = partial(Setting, layer="dataset", document=document, path=path, source=told["source"], status=told["status"])
        found[float(listed["fraction"])] = {
            "labels.sampler": make("list"),
            "labels.list_digest": make(told["value"]),
        }
    return found


def leaves(
    document: Document, at: Path, known: Mapping[str, schema.Schema], layer: LayerName, rule: str = ""
) -> Iterator[tuple[str, Setting]]:
    """Dotted name and setting of every known leaf of the table at `at`."""
    table: Any = document.data
    for part in at:
        table = table.get(part, {}) if isinstance(table, dict) else table[part]
    for dotted, leaf in known.items():
        value: Any = table
        path = at
        for part in dotted.split("."):
            if not isinstance(value, dict) or part not in value:
                break
            value = value[part]
            path = (*path, part)
        else:
            told = value if isinstance(value, dict) else {"value": value}
            source, status = told.get("source", ""), told.get("status", "")
            yield dotted, Setting(coerce(told["value"], leaf), layer, document, path, source, status, rule)


def coerce(value: Any, leaf: schema.Schema) -> Any:
    """The value in its field's type: 1 is 1.0 where the field is a float, 'none' is null."""
    if value == "none" and "null" in leaf.get("type", ()):
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and "number" in leaf.get("type", ()):
        return float(value) + 0.0  # and -0.0 is 0.0
    return value


def fault_at(setting: Setting, sentence: str) -> Fault:
    """A fault at the place where a value was written."""
    if setting.document is not None:
        return setting.document.fault(setting.path, sentence)
    return Fault(setting.text or setting.layer, 0, 0, sentence)


def _when(table: Mapping[str, Any]) -> str:
    from simclr_spec.language.coordinates import show

    return show(table)
