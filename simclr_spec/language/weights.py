"""Weights files: which networks were published, under which names, and what each file holds. Read without the files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path as FilePath
from pathlib import PurePosixPath
from typing import Any

from simclr_spec.core.errors import Fault, SpecError, did_you_mean
from simclr_spec.core.fields import NAME, TEXT, Schema, file_schema, listed, properties, table
from simclr_spec.core.fields import schema as schema_of
from simclr_spec.core.words import quoted
from simclr_spec.language.document import Document, Path, load
from simclr_spec.language.setting import Setting, leaves
from simclr_spec.language.written import ASSUMED, free, tables
from simclr_spec.stages.common import EncoderConfig, HeadConfig, LabelsConfig
from simclr_spec.stages.imports import NOT_STATED, WeightsConfig
from simclr_spec.stages.kind import ENCODER
from simclr_spec.stages.kinds import KINDS

MOST_NETWORKS, _BYTES = 1000, 255
_EACH = ("file", "sha256", "train_step")
"""Facts of one file; the others are those of its set."""
_OF_FILE = ("origin", "licence")
"""Facts of all sets."""
_USUAL = {
    "network": "online",
    "head_layers": 0,
    "classes": None,
    "from_layer": 0,
    **dict.fromkeys(_OF_FILE, NOT_STATED),
}
"""What a set leaves out: an encoder alone."""
_MAKING = [name for name, kind in KINDS.items() if kind.trains]
_NOT_PUBLISHED = "not published: the first read records it"


@dataclass(frozen=True, kw_only=True)
class Network:
    """One published network."""

    encoder: Mapping[str, Any]
    """depth, width, sk"""
    path: Path
    settings: Mapping[str, Setting]
    """`weights.*`, and what the file says of `encoder.*` and `head.*`"""
    remeasured: float | None

    @property
    def file(self) -> str:
        return str(self.settings["weights.file"].value)


@dataclass(frozen=True, kw_only=True)
class Set:
    """Networks that were made in one way."""

    name: str
    source: str
    """name of the weights file"""
    title: str
    made_by: str
    """the kind of stage that would make them"""
    label_fraction: float | None
    """share of the training images of whose labels they know; None where there is no classifier"""
    paper: str
    """REPORT/COLUMN where the paper's numbers of them stand"""
    remeasured_by: str
    """whose evaluation the numbers `remeasured` are"""
    networks: tuple[Network, ...]


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A weights file."""

    document: Document
    sets: Mapping[str, Set]


@cache
def schema() -> Schema:
    facts = properties(WeightsConfig)
    of_set = {name: free(leaf) for name, leaf in facts.items() if name not in ("file", "sha256", *_OF_FILE)}
    of_set["file"] = {**TEXT, "description": f"{facts['file']['description']}; {{depth}}, {{width}} and {{sk}} are filled in"}
    networks = listed(
        _network(facts), MOST_NETWORKS, "encoders of which there is a file; width is 1 and sk false unless written"
    )
    one = {
        "made_by": {"enum": _MAKING, "description": "kind of stage that would make them"},
        "label_fraction": {**properties(LabelsConfig)["fraction"], "type": "number"},
        "paper": {**NAME, "description": "REPORT/COLUMN in which the paper's numbers of them stand"},
        "remeasured": listed({"type": "number"}, MOST_NETWORKS, "somebody's own evaluation of them, one number a network"),
        **of_set,
        "networks": networks,
    }
    keys = {
        "title": TEXT,
        "description": TEXT,
        **{name: free({**TEXT, **facts[name]}) for name in _OF_FILE},
        "layout": of_set["layout"],
        "remeasured_by": {**TEXT, "description": "whose evaluation the numbers `remeasured` are: who, where, when"},
        "encoder": _changes(EncoderConfig),
        "head": _changes(HeadConfig),
        "networks": networks,
        "sets": {
            "type": "object",
            "patternProperties": {"^[A-Za-z][A-Za-z0-9_-]{0,39}$": table(one, ["made_by", "file"])},
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 200,
            "description": "networks that were made in one way, by name",
        },
    }
    return file_schema("A weights file of simclr-spec", table(keys, ["title", "layout", "sets"]))


def _network(facts: Mapping[str, Schema]) -> Schema:
    row = {name: properties(EncoderConfig)[name] for name in ENCODER}
    own = {"file": {**TEXT, "description": facts["file"]["description"]}, "sha256": facts["sha256"]}
    return table({**row, **own}, ["depth"])


def _changes(part: type[Any]) -> Schema:
    leaves = {name: leaf for name, leaf in properties(part).items() if name not in ENCODER}
    return {**tables(leaves, free), "description": f"what these networks have else than the recipe's: {part.__doc__}"}


def read_weights(name: str, folder: FilePath | None = None) -> Weights:
    """Raises SpecError or UsageError."""
    document = load("weights", name, schema, folder)
    sets = {each: _set(document, each) for each in document.data["sets"]}
    faults: dict[tuple[str, int, int], Fault] = {}
    for fault in (fault for found in sets.values() for fault in _faults(document, found)):
        faults.setdefault(fault[:3], fault)  # one for each place: networks of a set have a name in common
    if faults:
        raise SpecError([*faults.values()])
    return Weights(document=document, sets=sets)


def chosen(weights: Weights, name: str | None) -> Set | str:
    """The set of that name, or the only one; else the sentence that says which there are."""
    if name is None and len(weights.sets) == 1:
        return next(iter(weights.sets.values()))
    if name is None:
        return f"{weights.document.name} has several sets; name one of {', '.join(weights.sets)}"
    if name in weights.sets:
        return weights.sets[name]
    hint = did_you_mean(name, weights.sets) or f"; there are {', '.join(weights.sets)}"
    return f"{weights.document.name} has no set {name!r}{hint}"


def _set(document: Document, name: str) -> Set:
    data, path = document.data["sets"][name], ("sets", name)
    rows, at = (
        (data["networks"], (*path, "networks")) if "networks" in data else (document.data.get("networks", []), ("networks",))
    )
    numbers = data.get("remeasured", [])
    shared = _shared(document, path)
    networks = []
    for i, row in enumerate(rows):
        encoder = {"width": 1, "sk": False} | {key: row[key] for key in ENCODER if key in row}
        number = numbers[i] if i < len(numbers) else None
        settings = shared | dict(_own(document, path, (*at, i), encoder))
        networks.append(Network(encoder=encoder, path=(*at, i), settings=settings, remeasured=number))
    fraction = data.get("label_fraction", 1.0) if shared["weights.classes"].value else None
    return Set(
        name=name,
        source=document.name,
        title=document.data["title"],
        made_by=data["made_by"],
        label_fraction=fraction,
        paper=data.get("paper", ""),
        remeasured_by=document.data.get("remeasured_by", ""),
        networks=tuple(networks),
    )


def _shared(document: Document, path: Path) -> dict[str, Setting]:
    """What all networks of the set have in common."""
    facts = {name: leaf for name, leaf in properties(WeightsConfig).items() if name not in _EACH}
    found = {f"weights.{name}": Setting(value, "weights", document, path) for name, value in _USUAL.items()}
    for at in ((), path):
        found |= {f"weights.{name}": setting for name, setting in leaves(document, at, facts, "weights")}
    for part, config in (("encoder", EncoderConfig), ("head", HeadConfig)):
        known = schema_of(config)["properties"]
        found |= {f"{part}.{name}": setting for name, setting in leaves(document, (part,), known, "weights")}
    return found


def _own(document: Document, path: Path, at: Path, encoder: Mapping[str, Any]) -> Iterator[tuple[str, Setting]]:
    """Name, SHA-256 and train step of one network's file."""
    row: Any = document.data
    for part in at:
        row = row[part]
    where = (*at, "file") if "file" in row else (*path, "file")
    text = row.get("file", document.data["sets"][path[1]]["file"])
    for key, value in encoder.items():
        text = text.replace(f"{{{key}}}", str(int(value)))
    yield "weights.file", Setting(text, "weights", document, where)
    unknown = Setting("", "weights", document, where, source=_NOT_PUBLISHED, status=ASSUMED)
    known = Setting(row.get("sha256"), "weights", document, (*at, "sha256"))
    yield "weights.sha256", known if known.value else unknown
    step = {"train_step": properties(WeightsConfig)["train_step"]}
    for name, setting in leaves(document, path, step, "weights"):
        yield f"weights.{name}", setting
    if "train_step" not in document.data["sets"][path[1]]:
        yield "weights.train_step", Setting(None, "weights", document, path)


def _faults(document: Document, found: Set) -> Iterator[Fault]:
    path = ("sets", found.name)
    data = document.data["sets"][found.name]
    if not found.networks:
        yield document.fault(path, f"{found.name} has no `networks`, nor has the file; list their encoders", key=True)
    elif "remeasured" in data and len(data["remeasured"]) != len(found.networks):
        sentence = f"{len(data['remeasured'])} numbers, but the set has {len(found.networks)} networks"
        yield document.fault((*path, "remeasured"), sentence)
    elif "remeasured" in data and not found.remeasured_by:
        yield document.fault((*path, "remeasured"), "numbers without an owner: the file's `remeasured_by` says whose they are")
    names: dict[str, int] = {}
    for i, network in enumerate(found.networks):
        name = PurePosixPath(network.file)
        setting = network.settings["weights.file"]
        if name.is_absolute() or ".." in name.parts:
            sentence = f"{network.file!r} is no name below a weights root: name the root with --weights-root, and the rest here"
            yield document.fault(setting.path, sentence)
        elif any(len(part.encode(errors="replace")) > _BYTES for part in name.parts):
            sentence = f"{quoted(network.file)} is no name that a file can have: each part of it has at most {_BYTES} bytes"
            yield document.fault(setting.path, sentence)
        elif names.setdefault(network.file, i) != i:
            sentence = f"two networks would be the same file, {network.file!r}; name them by {{depth}}, {{width}} and {{sk}}"
            yield document.fault(setting.path, sentence)
        sits, held = (network.settings[f"weights.{key}"] for key in ("from_layer", "head_layers"))
    if found.networks and sits.value > held.value:
        sentence = f"from_layer {sits.value}, but the files hold {held.value} layers of the head (head_layers)"
        yield document.fault(sits.path, sentence)
