"""JSON Schemas (Draft 4) of specs, recipes, data sets and scales, generated from what the kinds of stage declare."""

from __future__ import annotations

from functools import cache
from typing import Any

from simclr_spec.core.fields import schema
from simclr_spec.language import coordinates
from simclr_spec.stages.common import DatasetConfig, EncoderConfig, HeadConfig, LabelsConfig
from simclr_spec.stages.kind import ENCODER, HEAD, Kind, Role
from simclr_spec.stages.kinds import KINDS

Schema = dict[str, Any]

AXES = {"seed", "encoder.depth", "encoder.width", "encoder.sk", "labels.fraction", "labels.per_class", "labels.seed"}
"""Fields that a Step gets from the axes of its spec, never from a recipe, a scale or --set."""

FIXED = {"revision", "dataset.name"}
"""Fields that nobody sets."""

DRAFT = "http://json-schema.org/draft-04/schema#"
_TEXT = {"type": "string", "maxLength": 2000}
_NAME = {"type": "string", "pattern": "^[^\\x00-\\x1f]+$", "maxLength": 500}
_STAGE_NAME = "^[A-Za-z][A-Za-z0-9_-]{0,39}$"
_ROLES: dict[Role, str] = {
    "from": "stage whose encoder is used",
    "teacher": "stage that teaches; coordinates written here are fixed",
}
_LISTED = {
    "label_fraction": ("labels.fraction", "shares of the training images that have labels"),
    "labels_per_class": ("labels.per_class", "labelled images per class"),
    "from_layer": ("from_layer", "layers of the head to start from"),
}
"""Axes of which a stage may give several values: the field, and what they mean."""
_STATUSES = ["paper", "code", "author", "derived", "assumed"]


@cache
def fields(kind: str) -> dict[str, Schema]:
    """Every leaf of a kind's parameters, dotted -> its schema."""
    return _leaves(_draft4(schema(KINDS[kind].parameters)), "")


@cache
def common_fields() -> dict[str, Schema]:
    """Every leaf of any kind."""
    return {name: leaf for kind in KINDS for name, leaf in fields(kind).items()}


def _leaves(schema: Schema, prefix: str) -> dict[str, Schema]:
    found: dict[str, Schema] = {}
    for name, value in schema["properties"].items():
        found.update(_leaves(value, f"{prefix}{name}.") if value.get("type") == "object" else {prefix + name: value})
    return found


def _draft4(schema: Schema) -> Schema:
    """Draft 4 says `minimum: 0, exclusiveMinimum: true` where a field says `exclusiveMinimum: 0`."""
    converted = dict(schema)
    if "exclusiveMinimum" in schema:
        converted.update(minimum=schema["exclusiveMinimum"], exclusiveMinimum=True)
    if "properties" in schema:
        converted["properties"] = {name: _draft4(value) for name, value in schema["properties"].items()}
    return converted


def settable(leaf: Schema) -> Schema:
    """The schema of a written value: an optional field takes 'none', which TOML lacks."""
    if "null" not in leaf.get("type", ()):
        return leaf
    number = {**leaf, "type": next(kind for kind in leaf["type"] if kind != "null")}
    return {"anyOf": [number, {"enum": ["none"]}], "description": leaf["description"]}


def _recipe_leaf(leaf: Schema) -> Schema:
    return {
        "type": "object",
        "description": leaf["description"],
        "properties": {"value": settable(leaf), "source": _TEXT, "status": {"enum": _STATUSES}},
        "required": ["value", "source", "status"],
        "additionalProperties": False,
    }


def _free_leaf(leaf: Schema) -> Schema:
    """A plain value, or a table { value, source, status } whose last two may be left out."""
    return {"anyOf": [settable(leaf), {**_recipe_leaf(leaf), "required": ["value"]}], "description": leaf["description"]}


def _table(leaves: dict[str, Schema]) -> Schema:
    """Dotted leaves -> nested tables."""
    root: Schema = {"type": "object", "properties": {}, "additionalProperties": False}
    for dotted, leaf in leaves.items():
        table = root
        *above, last = dotted.split(".")
        for part in above:
            table = table["properties"].setdefault(part, {"type": "object", "properties": {}, "additionalProperties": False})
        table["properties"][last] = leaf
    return root


def _settings(leaves: dict[str, Schema], wrap: Any) -> Schema:
    return _table({name: wrap(leaf) for name, leaf in leaves.items() if name not in AXES | FIXED})


def _layer(wrap: Any) -> dict[str, Schema]:
    """[common], one table per kind, and [[kind.rules]] of when and set."""
    tables = {"common": _settings(common_fields(), wrap)}
    for kind in KINDS:
        table = _settings(fields(kind), wrap)
        rule = {
            "type": "object",
            "properties": {"when": {**coordinates.selector_schema(), "minProperties": 1}, "set": {**table, "minProperties": 1}},
            "required": ["when", "set"],
            "additionalProperties": False,
        }
        properties = {**table["properties"], "rules": {"type": "array", "items": rule, "maxItems": 200}}
        tables[kind] = {**table, "properties": properties, "description": KINDS[kind].parameters.__doc__}
    return tables


def _document(title: str, properties: dict[str, Schema], required: list[str]) -> Schema:
    return {
        "$schema": DRAFT,
        "title": title,
        "type": "object",
        "properties": {"$schema": _TEXT, **properties},
        "required": required,
        "additionalProperties": False,
    }


@cache
def recipe() -> Schema:
    properties = {"title": _TEXT, "description": _TEXT, "dataset": {**_NAME, "description": "data set of the recipe"}}
    return _document("A recipe of simclr-spec", {**properties, **_layer(_recipe_leaf)}, ["title"])


@cache
def scale() -> Schema:
    properties = {"title": _TEXT, "description": _TEXT, "dataset": {**_NAME, "description": "data set instead of the spec's"}}
    properties["machine"] = {**_NAME, "description": "machine on which costs are told; h200 unless written"}
    return _document("A scale of simclr-spec", {**properties, **_layer(_free_leaf)}, ["title"])


@cache
def dataset() -> Schema:
    """Only the size of the images cannot be found out; see settings.read_dataset."""
    leaves = _draft4(schema(DatasetConfig))["properties"]
    leaves = {**leaves, "name": {**_NAME, "description": leaves["name"]["description"]}}
    leaves["digest"] = {**leaves["digest"], "pattern": "^([0-9a-f]{64})?$"}
    properties = {name: _free_leaf(leaf) for name, leaf in leaves.items()}
    return _document("A data set of simclr-spec", {**properties, "label_lists": _label_lists()}, ["image_size"])


def _label_lists() -> Schema:
    """Lists of labelled images published for some fractions; a data set of one's own has none."""
    digest = {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "SHA-256 of the list's bytes"}
    properties = {
        "fraction": {**_draft4(schema(LabelsConfig))["properties"]["fraction"], "type": "number"},
        "list_digest": _recipe_leaf(digest),
        "url": {**_TEXT, "description": "where `simclr-spec fetch-lists` gets it"},
    }
    item = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return _list(item, 100, "published lists of labelled images: file names, one a line")


def _list(items: Schema, most: int, description: str) -> Schema:
    return {"type": "array", "items": items, "minItems": 1, "maxItems": most, "description": description}


_SEEDS = {**_list({"type": "integer", "minimum": 0}, 10_000, "one Step per seed"), "uniqueItems": True}


def _row() -> Schema:
    encoder = schema(EncoderConfig)["properties"]
    head = schema(HeadConfig)["properties"]
    columns = {
        **{name: encoder[name] for name in ENCODER},
        "head_layers": {**head["layers"], "description": "layers of the projection head, instead of the recipe's"},
        "head_width": {**head["width"], "description": "width multiplier of the projection head, instead of the recipe's"},
    }
    return {"type": "object", "properties": columns, "required": ["depth"], "additionalProperties": False}


def _encoders() -> Schema:
    row = _row()
    lists = {
        name: {**_list(column, 100, column["description"]), "uniqueItems": True} for name, column in row["properties"].items()
    }
    together = {name: _list(column, 100, column["description"]) for name, column in row["properties"].items()}
    axes = {"type": "object", "properties": lists, "additionalProperties": False, "minProperties": 1}
    group = {"type": "object", "properties": together, "additionalProperties": False, "minProperties": 1}
    grid = {
        "type": "object",
        "properties": {
            "product": {**axes, "description": "every combination of these lists"},
            "zip": _list(group, 20, "groups of equally long lists that go together; each group is one more factor"),
            "exclude": _list(_some_encoders(), 200, "rows that are left out"),
            "include": _list(row, 1000, "rows that are added at the end"),
        },
        "additionalProperties": False,
        "minProperties": 1,
    }
    description = "rows, or a grid; width is 1 and sk false unless written"
    return {"anyOf": [_list(row, 2000, "one encoder per row"), grid], "description": description}


def _some_encoders() -> Schema:
    return coordinates.selector_schema((*ENCODER, *HEAD))


def _reference(role: Role) -> Schema:
    selector = coordinates.selector_schema()
    del selector["properties"]["stage"]
    table = {
        **selector,
        "properties": {"stage": {"type": "string"}, **selector["properties"]},
        "required": ["stage"],
    }
    return {"anyOf": [{"type": "string"}, table], "description": _ROLES[role]}


def _stage(kind: Kind) -> Schema:
    axes: dict[str, Schema] = {"kind": {"enum": [kind.name]}, "description": _TEXT}
    if kind.parent:
        axes[kind.parent.role] = _reference(kind.parent.role)
    required = [name for name in axes if name != "description"]
    selector = _some_encoders()
    axes["encoders"] = {"anyOf": [selector, _list(selector, 200, "any of")], "description": "only these of the spec's encoders"}
    if "seed" in kind.axes:
        axes["seeds"] = {**_SEEDS, "description": "seeds of this stage's own; else those of its parent"}
    leaves = fields(kind.name)
    for name, (field, description) in _LISTED.items():
        if name in kind.axes:
            axes[name] = _one_or_list(_number(leaves[field]), description)
    table = _settings({name: leaf for name, leaf in leaves.items() if name not in kind.axes}, _free_leaf)
    table["properties"]["dataset"] = {"anyOf": [_NAME, table["properties"]["dataset"]], "description": "data set of this stage"}
    return {
        **table,
        "properties": {**axes, **table["properties"]},
        "required": required,
        "description": kind.parameters.__doc__,
    }


def _number(leaf: Schema) -> Schema:
    """Without null, which no axis has."""
    kinds = leaf["type"]
    return {**leaf, "type": kinds if isinstance(kinds, str) else next(kind for kind in kinds if kind != "null")}


def _one_or_list(leaf: Schema, description: str) -> Schema:
    return {"anyOf": [leaf, {**_list(leaf, 100, description), "uniqueItems": True}], "description": description}


@cache
def spec() -> Schema:
    stages = {
        "type": "object",
        "patternProperties": {_STAGE_NAME: {"oneOf": [_stage(kind) for kind in KINDS.values()]}},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 200,
        "description": "the trainings, by name",
    }
    properties = {
        "title": {**_TEXT, "description": "one line"},
        "description": {**_TEXT, "description": "more lines"},
        "recipe": {**_NAME, "description": "name or path of the recipe"},
        "dataset": {**_NAME, "description": "name or path of the data set"},
        "scale": {**_NAME, "description": "scale when none is asked for; without it the recipe's"},
        "encoders": _encoders(),
        "seeds": {**_SEEDS, "description": "seeds of the stages without a parent; [0] unless written"},
        "stages": stages,
    }
    return _document("A spec of simclr-spec", properties, ["title", "recipe", "encoders", "stages"])
