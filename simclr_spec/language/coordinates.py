"""The one small language of coordinates: a table of equalities or lists.

`{ stage = "finetune", depth = 50, label_fraction = [0.01, 0.10] }` in files, `stage=finetune depth=50` on the command line,
`+x` for x and its ancestors, `x+` for x and its descendants. A list means any of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simclr_spec.core.errors import UsageError, did_you_mean
from simclr_spec.core.fields import Schema, table
from simclr_spec.core.states import STATES
from simclr_spec.core.words import typed
from simclr_spec.stages.kinds import KINDS

Coordinates = Mapping[str, Any]

KEYS: dict[str, Schema] = {
    "stage": {"type": "string", "description": "name of a stage of the spec"},
    "kind": {"enum": [*KINDS], "description": "kind of training"},
    "dataset": {"type": "string", "description": "name of the data set"},
    "depth": {"type": "integer", "description": "ResNet depth"},
    "width": {"type": "integer", "description": "width multiplier"},
    "sk": {"type": "boolean", "description": "selective kernels"},
    "head_layers": {"type": "integer", "description": "layers of the projection head"},
    "head_width": {"type": "integer", "description": "width multiplier of the projection head"},
    "from_layer": {"type": "integer", "description": "layer of the head on which the classifier sits"},
    "label_fraction": {"type": "number", "description": "share of the training images with labels"},
    "labels_per_class": {"type": "integer", "description": "labelled images per class"},
    "seed": {"type": "integer", "description": "the Step's seed"},
    "self_distillation": {"type": "boolean", "description": "the student's encoder is the teacher's"},
    "teacher_depth": {"type": "integer", "description": "ResNet depth of the teacher"},
    "teacher_width": {"type": "integer", "description": "width multiplier of the teacher"},
    "teacher_sk": {"type": "boolean", "description": "selective kernels of the teacher"},
    "teacher_from_layer": {"type": "integer", "description": "layer of its head from which the teacher was fine-tuned"},
    "teacher_head_layers": {"type": "integer", "description": "layers of the projection head of the teacher"},
    "teacher_head_width": {"type": "integer", "description": "width multiplier of the projection head of the teacher"},
}


def selector_schema(keys: Sequence[str] = tuple(KEYS)) -> Schema:
    """JSON Schema of a table of equalities or lists over some coordinates."""
    properties = {}
    for key in keys:
        value = {name: wanted for name, wanted in KEYS[key].items() if name != "description"}
        values = {"type": "array", "items": value, "minItems": 1, "maxItems": 100}
        properties[key] = {"anyOf": [value, values], "description": f"{KEYS[key]['description']}; a list means any of"}
    seeds = {"patternProperties": {"^[A-Za-z][A-Za-z0-9_-]*_seed$": {"type": "integer"}}} if "seed" in keys else {}
    return {**table(properties), **seeds}


def matches(coordinates: Coordinates, selector: Mapping[str, Any]) -> bool:
    """True when every key of the selector is among the coordinates with that value, or one of the list."""
    for key, wanted in selector.items():
        if key not in coordinates:
            return False
        value = coordinates[key]
        if value not in wanted if isinstance(wanted, (list, tuple)) else value != wanted:
            return False
    return True


@dataclass(frozen=True)
class Selector:
    """One selection of the command line."""

    table: dict[str, Any]
    ancestors: bool = False
    descendants: bool = False

    def __str__(self) -> str:
        """As it is typed."""
        return f"{'+' * self.ancestors}{as_selector(self.table)}{'+' * self.descendants}"


def parse(words: Sequence[str]) -> Selector | None:
    """`stage=finetune depth=50 state=failed`, the whole prefixed or followed by `+`; None when there are no words."""
    words = [word for part in words for word in part.split()]
    if not words:
        return None
    ancestors, descendants = words[0].startswith("+"), words[-1].endswith("+")
    words[0] = words[0].removeprefix("+")
    words[-1] = words[-1].removesuffix("+")
    table: dict[str, Any] = {}
    for word in filter(None, words):
        key, equals, text = word.partition("=")
        if not equals or not text:
            raise UsageError(f"{word!r} is no selector; write coordinate=value, as in stage=finetune depth=50")
        if key in table:
            raise UsageError(f"{key!r} is selected twice; for any of several values write {key}=a,b")
        values = [_value(key, item) for item in text.split(",") if item]
        table[key] = values[0] if len(values) == 1 else values
    return Selector(table, ancestors, descendants)


def _value(key: str, text: str) -> Any:
    """The value in the coordinate's type."""
    if key == "state":
        if text not in STATES:
            raise UsageError(f"no state is named {text!r}{did_you_mean(text, STATES)} (states are {', '.join(STATES)})")
        return text
    if key == "fingerprint":
        return text
    schema = KEYS.get(key) or (KEYS["seed"] if key.endswith("_seed") else None)
    if schema is None:
        raise UsageError(f"no coordinate is named {key!r}{did_you_mean(key, [*KEYS, 'state', 'fingerprint'])}")
    try:
        if schema.get("type") == "integer":
            return int(text)
        if schema.get("type") == "number":
            return float(text)
        if schema.get("type") == "boolean":
            return {"true": True, "false": False}[text.lower()]
    except (ValueError, KeyError):
        wanted = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}[schema["type"]]
        raise UsageError(f"{key} must be {wanted}, not {text!r}") from None
    if "enum" in schema and text not in schema["enum"]:
        raise UsageError(f"no {key} is named {text!r}{did_you_mean(text, schema['enum'])}")
    return text


def near_miss(table: Mapping[str, Any], known: Sequence[Coordinates]) -> str:
    """'; did you mean 'finetune'?' for a selector's text that none of the coordinates has."""
    for key, wanted in table.items():
        words = {coordinates[key] for coordinates in known if isinstance(coordinates.get(key), str)}
        for value in wanted if isinstance(wanted, (list, tuple)) else [wanted]:
            if isinstance(value, str) and value not in words and (hint := did_you_mean(value, words)):
                return hint
    return ""


def as_selector(coordinates: Coordinates) -> str:
    """`stage=finetune depth=50`: what a person can type back."""
    return " ".join(f"{key}={typed(value)}" for key, value in coordinates.items())
