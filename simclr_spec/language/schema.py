"""JSON Schemas (Draft 4) of parameters and of specs, generated from the kinds of stage and the axes of the language."""

# No `from __future__ import annotations`: see core/fields.py.
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from simclr_spec.core.fields import NAME, TEXT, Schema, described, file_schema, listed, properties, required, schema, table
from simclr_spec.language import coordinates
from simclr_spec.language.written import free, tables, without_null
from simclr_spec.stages.common import EncoderConfig, HeadConfig
from simclr_spec.stages.imports import WeightsConfig
from simclr_spec.stages.kind import ENCODER, HEAD, Kind, Role
from simclr_spec.stages.kinds import KINDS

AXES = {
    *("seed", "encoder.depth", "encoder.width", "encoder.sk", "labels.fraction", "labels.per_class", "labels.seed"),
    *(f"weights.{name}" for name in properties(WeightsConfig)),
}
"""Fields that a Step gets from the axes of its spec, or from a weights file; never from a recipe, a scale or --set."""

FIXED = {"revision", "dataset.name"}
"""Fields that nobody sets."""

_STAGE_NAME = "^[A-Za-z][A-Za-z0-9_-]{0,39}$"
_ROLES: dict[Role, str] = {
    "from": "stage whose encoder is used",
    "teacher": "stage that teaches; coordinates written here are fixed",
}
_LISTED = {
    "label_fraction": ("labels.fraction", "shares of the training images that have labels"),
    "labels_per_class": ("labels.per_class", "labelled images per class"),
    "from_layer": ("from_layer", "layers of the head on which the classifier sits"),
}
"""Axes of which a stage may give several values: the field, and what they mean."""


@cache
def fields(kind: str) -> dict[str, Schema]:
    """Every leaf of a kind's parameters, dotted -> its schema."""
    return _leaves(schema(KINDS[kind].parameters), "")


@cache
def common_fields() -> dict[str, Schema]:
    """Every leaf of any kind."""
    return {name: leaf for kind in KINDS for name, leaf in fields(kind).items()}


def settings(leaves: Mapping[str, Schema], wrap: Callable[[Schema], Schema]) -> Schema:
    """Nested tables of those that may be set."""
    return tables({name: leaf for name, leaf in leaves.items() if name not in AXES | FIXED}, wrap)


def _leaves(schema: Schema, prefix: str) -> dict[str, Schema]:
    found: dict[str, Schema] = {}
    for name, value in schema["properties"].items():
        found.update(_leaves(value, f"{prefix}{name}.") if value.get("type") == "object" else {prefix + name: value})
    return found


_SEEDS: Schema = {
    "type": "array",
    "items": {"type": "integer", "minimum": 0},
    "minItems": 1,
    "maxItems": 10_000,
    "uniqueItems": True,
}


def _row() -> Schema:
    encoder = schema(EncoderConfig)["properties"]
    head = schema(HeadConfig)["properties"]
    columns = {
        **{name: encoder[name] for name in ENCODER},
        "head_layers": {**head["layers"], "description": "layers of the projection head, instead of the recipe's"},
        "head_width": {**head["width"], "description": "width multiplier of the projection head, instead of the recipe's"},
    }
    return table(columns, ["depth"])


def _encoders() -> Schema:
    row = _row()
    lists = {
        name: {**listed(column, 100, column["description"]), "uniqueItems": True} for name, column in row["properties"].items()
    }
    together = {name: listed(column, 100, column["description"]) for name, column in row["properties"].items()}
    axes, group = ({**table(columns), "minProperties": 1} for columns in (lists, together))
    grid = {
        "product": {**axes, "description": "every combination of these lists"},
        "zip": listed(group, 20, "groups of equally long lists that go together; each group is one more factor"),
        "exclude": listed(_some_encoders(), 200, "rows that are left out"),
        "include": listed(row, 1000, "rows that are added at the end"),
    }
    choices = [listed(row, 2000, "one encoder per row"), {**table(grid), "minProperties": 1}]
    return {"anyOf": choices, "description": "rows, or a grid; width is 1 and sk false unless written"}


def _some_encoders() -> Schema:
    return coordinates.selector_schema((*ENCODER, *HEAD))


def _reference(role: Role) -> Schema:
    selector = coordinates.selector_schema()
    del selector["properties"]["stage"]
    fixed = {**selector, "properties": {"stage": {"type": "string"}, **selector["properties"]}, "required": ["stage"]}
    return {"anyOf": [{"type": "string"}, fixed], "description": _ROLES[role]}


def _stage(kind: Kind) -> Schema:
    axes: dict[str, Schema] = {"kind": {"enum": [kind.name]}, "description": TEXT}
    if kind.parent:
        axes[kind.parent.role] = _reference(kind.parent.role)
    if kind.from_file:
        axes["weights"] = {**NAME, "description": "weights file: a name, or the path of yours"}
        axes["set"] = {"type": "string", "description": "which of its sets; may be left out where there is one"}
    needed = [name for name in axes if name not in ("description", "set")]
    selector = _some_encoders()
    axes["encoders"] = {
        "anyOf": [selector, listed(selector, 200, "any of")],
        "description": "only these of the spec's encoders",
    }
    if "seed" in kind.axes:
        axes["seeds"] = {**_SEEDS, "description": "seeds of this stage's own; else those of its parent"}
    leaves = fields(kind.name)
    for name, (field, description) in _LISTED.items():
        if name in kind.axes:
            axes[name] = _one_or_list(without_null(leaves[field]), description)
    values = settings({name: leaf for name, leaf in leaves.items() if name not in kind.axes}, free)
    own = values["properties"]
    own["dataset"] = {"anyOf": [NAME, own["dataset"]], "description": "data set of this stage"}
    return {**values, "properties": {**axes, **own}, "required": needed, "description": kind.parameters.__doc__}


def _one_or_list(leaf: Schema, description: str) -> Schema:
    return {"anyOf": [leaf, {**listed(leaf, 100, description), "uniqueItems": True}], "description": description}


@dataclass(frozen=True, kw_only=True)
class SpecKeys:
    """What stands in a spec beside its encoders and stages."""

    title: str = described("one line", TEXT)
    description: str = described("more lines", TEXT, default="")
    recipe: str = described("name or path of the recipe", NAME)
    dataset: str | None = described("name or path of the data set", NAME, default=None)
    scale: str | None = described("scale when none is asked for; without it the recipe's", NAME, default=None)
    seeds: tuple[int, ...] = described("seeds of the stages without a parent; [0] unless written", _SEEDS, default=(0,))


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
    keys = {**properties(SpecKeys), "encoders": _encoders(), "stages": stages}
    return file_schema("A spec of simclr-spec", table(keys, [*required(SpecKeys), "encoders", "stages"]))
