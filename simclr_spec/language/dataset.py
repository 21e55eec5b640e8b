"""Data sets: their facts, written or counted, and their published lists of labelled images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from functools import cache, partial
from pathlib import Path as FilePath
from typing import Any, cast

from simclr_spec.core.errors import DataError, Fault, SpecError
from simclr_spec.core.fields import NAME, TEXT, Schema, file_schema, listed, properties, table
from simclr_spec.data.loader import FileLoader
from simclr_spec.data.registry import LOADERS, USUAL
from simclr_spec.data.roots import data_roots
from simclr_spec.data.splits import Counts, Splits
from simclr_spec.language.declared import absolute
from simclr_spec.language.document import Document, load
from simclr_spec.language.setting import Setting, leaves
from simclr_spec.language.written import free, sourced
from simclr_spec.stages.common import DatasetConfig, LabelsConfig

COUNTED: ContextVar[Mapping[str, Mapping[str, int | None]]] = ContextVar("COUNTED", default={})  # noqa: B039 - never changed
"""Data-set file -> what was counted when it was run last: it holds where the images are not at hand."""


@cache
def schema() -> Schema:
    """Only the size of the images cannot be found out; see read_dataset."""
    facts = properties(DatasetConfig)
    facts["name"] = {**NAME, "description": facts["name"]["description"]}
    facts["digest"] = {**facts["digest"], "pattern": "^([0-9a-f]{64})?$"}
    written = {name: free(leaf) for name, leaf in facts.items()}
    return file_schema("A data set of simclr-spec", table({**written, "label_lists": _label_lists()}, ["image_size"]))


def _label_lists() -> Schema:
    """Lists of labelled images published for some fractions; a data set of one's own has none."""
    digest = {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "SHA-256 of the list's bytes"}
    keys = {
        "fraction": {**properties(LabelsConfig)["fraction"], "type": "number"},
        "list_digest": sourced(digest),
        "url": {**TEXT, "description": "where `simclr-spec fetch-lists` gets it"},
    }
    return listed(table(keys, list(keys)), 100, "published lists of labelled images: file names, one a line")


def read_dataset(name: str, folder: FilePath | None) -> tuple[Document, dict[str, Setting]]:
    """The facts of a data set, as `dataset.*`. Raises SpecError or UsageError.

    What the file leaves out: it has its file's name, is an image folder, is not verified, and is counted.
    """
    document = load("dataset", name, schema, folder)
    if twice := _listed_twice(document):
        raise SpecError(twice)
    known = properties(DatasetConfig)
    usual = {"name": FilePath(document.name).stem, "loader": USUAL, "digest": ""}
    facts = {key: Setting(value, "dataset", document) for key, value in usual.items()}
    facts.update(leaves(document, (), known, "dataset"))
    if "classes" in facts and facts["classes"].value is None:
        facts.setdefault("test_images", facts["classes"])
    if lacking := [key for key in known if key not in facts]:
        counts = _counted(document, facts, lacking)
        facts.update((key, counts[key]) for key in lacking)
    return document, {f"dataset.{key}": facts[key] for key in known}


def _listed_twice(document: Document) -> list[Fault]:
    """Published lists of a fraction that another list has already."""
    fractions = [entry["fraction"] for entry in document.data.get("label_lists", ())]
    return [
        document.fault(
            ("label_lists", i, "fraction"),
            f"fraction {fraction} has a list already, in line {document.line(('label_lists', first, 'fraction'))}; keep one",
        )
        for i, fraction in enumerate(fractions)
        if (first := fractions.index(fraction)) < i
    ]


def _counted(document: Document, facts: Mapping[str, Setting], lacking: Sequence[str]) -> dict[str, Setting]:
    """The numbers of an image folder, which its data-set file leaves out; the folder lies under a data root."""
    loader, name = LOADERS[facts["loader"].value], facts["name"].value
    splits = Splits.BOTH if "classes" in lacking else Splits.of(facts["classes"].value)
    if not isinstance(loader, FileLoader):
        raise SpecError([document.fault((), f"the file lacks the key {key!r}", key=True) for key in lacking])
    wanted = f"{', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not written here, so the images are counted, but"
    try:
        place = cast("FilePath", loader.find(name, data_roots(), splits=splits))
        found = loader.scan(place, splits=splits)
    except DataError as error:
        if not (before := COUNTED.get().get(absolute(document.name), {})).keys() >= set(lacking):
            raise SpecError([document.fault((), f"{wanted} {error}", key=True)]) from None
        return {key: Setting(before[key], "dataset", text="scanned in the last run; images not here") for key in lacking}
    if found.counts.classes == 1:
        sentence = f"{found.train.folder} has one class, {found.classes[0]!r}, and at least 2 are needed"
        raise SpecError([document.fault((), f"{wanted} {sentence}; classes = 'none' is without any", key=True)])
    if found.faults and 0 in found.counts:
        raise SpecError([document.fault((), f"{wanted} {fault}", key=True) for fault in found.faults])
    counts = found.counts._asdict().items()
    return {key: Setting(value, "dataset", text=f"scanned from {place}") for key, value in counts}


def counted(settings: Mapping[str, Setting]) -> dict[str, Any]:
    """Of the facts `dataset.*` those that the images were counted for."""
    found = {name: settings[f"dataset.{name}"] for name in Counts._fields}
    return {name: fact.value for name, fact in found.items() if fact.layer == "dataset" and fact.document is None}


def label_lists(document: Document) -> dict[float, dict[str, Setting]]:
    """What a data set's published lists say of `labels`, by fraction."""
    found = {}
    for i, entry in enumerate(document.data.get("label_lists", ())):
        digest, path = entry["list_digest"], ("label_lists", i, "list_digest")
        make = partial(Setting, layer="dataset", document=document, path=path, source=digest["source"], status=digest["status"])
        found[float(entry["fraction"])] = {
            "labels.sampler": make("list"),
            "labels.list_digest": make(digest["value"]),
        }
    return found
