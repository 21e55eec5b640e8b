"""Yes or no: does a value satisfy a schema? jsonschema is imported only to tell what is wrong, which is rarely needed.

Knows exactly the words that our schemas use; any other raises KeyError. A test compares every answer with jsonschema's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]

_TYPES: dict[str, Callable[[Any], bool]] = {
    "boolean": lambda v: isinstance(v, bool),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "string": lambda v: isinstance(v, str),
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "null": lambda v: v is None,
}
_SILENT = {"$schema", "title", "description", "default"}


def accepts(schema: Schema, value: Any) -> bool:
    """Draft 4, as far as our schemas go."""
    return all(_WORDS[word](wanted, value, schema) for word, wanted in schema.items() if word not in _SILENT)


def _type(wanted: str | list[str], value: Any, _: Schema) -> bool:
    return _TYPES[wanted](value) if isinstance(wanted, str) else any(_TYPES[kind](value) for kind in wanted)


def _enum(wanted: list[Any], value: Any, _: Schema) -> bool:
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in wanted)


def _is_number(value: Any) -> bool:
    return _TYPES["number"](value)


def _minimum(wanted: float, value: Any, schema: Schema) -> bool:
    return not _is_number(value) or value > wanted or (value == wanted and not schema.get("exclusiveMinimum"))


def _maximum(wanted: float, value: Any, schema: Schema) -> bool:
    return not _is_number(value) or value < wanted or (value == wanted and not schema.get("exclusiveMaximum"))


def _properties(wanted: dict[str, Schema], value: Any, _: Schema) -> bool:
    return not isinstance(value, dict) or all(accepts(wanted[key], item) for key, item in value.items() if key in wanted)


def _patterns(wanted: dict[str, Schema], value: Any, _: Schema) -> bool:
    if not isinstance(value, dict):
        return True
    return all(accepts(one, item) for key, item in value.items() for pattern, one in wanted.items() if re.search(pattern, key))


def _additional(wanted: bool, value: Any, schema: Schema) -> bool:
    if wanted or not isinstance(value, dict):
        return True
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    return all(key in known or any(re.search(pattern, key) for pattern in patterns) for key in value)


def _unique(wanted: bool, value: Any, _: Schema) -> bool:
    if not wanted or not isinstance(value, list):
        return True
    return len(set(map(unique_key, value))) == len(value)


def unique_key(value: Any) -> Any:
    """Equal for values that JSON takes for equal: 1 and 1.0, but not true."""
    return isinstance(value, bool), repr(value) if isinstance(value, (dict, list)) else value


_WORDS: dict[str, Callable[[Any, Any, Schema], bool]] = {
    "type": _type,
    "enum": _enum,
    "minimum": _minimum,
    "maximum": _maximum,
    "exclusiveMinimum": lambda *_: True,
    "exclusiveMaximum": lambda *_: True,
    "minLength": lambda wanted, v, _: not isinstance(v, str) or len(v) >= wanted,
    "maxLength": lambda wanted, v, _: not isinstance(v, str) or len(v) <= wanted,
    "pattern": lambda wanted, v, _: not isinstance(v, str) or re.search(wanted, v) is not None,
    "properties": _properties,
    "patternProperties": _patterns,
    "additionalProperties": _additional,
    "required": lambda wanted, v, _: not isinstance(v, dict) or all(key in v for key in wanted),
    "minProperties": lambda wanted, v, _: not isinstance(v, dict) or len(v) >= wanted,
    "maxProperties": lambda wanted, v, _: not isinstance(v, dict) or len(v) <= wanted,
    "items": lambda wanted, v, _: not isinstance(v, list) or all(accepts(wanted, one) for one in v),
    "minItems": lambda wanted, v, _: not isinstance(v, list) or len(v) >= wanted,
    "maxItems": lambda wanted, v, _: not isinstance(v, list) or len(v) <= wanted,
    "uniqueItems": _unique,
    "anyOf": lambda wanted, v, _: any(accepts(one, v) for one in wanted),
    "oneOf": lambda wanted, v, _: sum(accepts(one, v) for one in wanted) == 1,
}
