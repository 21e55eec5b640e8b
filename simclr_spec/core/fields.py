"""Declared fields: name, type, default, bounds and a line of documentation, said once; schemas and values are made from them.

The classes stand in modules without `from __future__ import annotations`: real annotations need no evaluation.
"""

from collections.abc import Iterable, Sequence
from dataclasses import MISSING, Field, field, fields, is_dataclass
from typing import Any, Literal, TypeGuard, get_args, get_origin

Schema = dict[str, Any]

DRAFT = "http://json-schema.org/draft-04/schema#"
POSITIVE: Schema = {"exclusiveMinimum": True, "minimum": 0}
SHARE: Schema = {"minimum": 0, "maximum": 1}
NOT_EMPTY: Schema = {"minLength": 1}
TEXT: Schema = {"type": "string", "maxLength": 2000}
NAME: Schema = {"type": "string", "pattern": "^[^\\x00-\\x1f]+$", "maxLength": 500}
"""of a declared file, or a path"""


def described(
    doc: str,
    allowed: Schema | None = None,
    *,
    choices: Iterable[Any] | None = None,
    default: Any = MISSING,
    default_factory: Any = MISSING,
    **bounds: Any,
) -> Any:
    """A field with its documentation and what JSON Schema (Draft 4) says beyond its type: minimum, maximum, items, ...

    `choices` are the keys of a registry, where the type is not a Literal."""
    metadata = {"doc": doc, "choices": choices, "bounds": {**(allowed or {}), **bounds}}
    return field(default=default, default_factory=default_factory, metadata=metadata)


def build(cls: type[Any], values: dict[str, Any]) -> Any:
    """Nested plain values, of step.json or a file -> a frozen instance. Raises TypeError on a missing or unknown field.

    Lists become tuples, and 'none' becomes None where that is allowed."""
    hints = {f.name: f.type for f in fields(cls)}
    if unknown := values.keys() - hints.keys():
        raise TypeError(f"{cls.__name__} has no field {min(unknown)!r}")
    return cls(**{name: _built(hints[name], value) for name, value in values.items()})


def _built(hint: Any, value: Any) -> Any:
    nested = next((part for part in (hint, *get_args(hint)) if is_class(part)), None)
    if nested is not None and isinstance(value, dict):
        return build(nested, value)
    entry = next((get_args(part)[0] for part in (hint, *get_args(hint)) if get_origin(part) is tuple), None)
    if entry is not None and isinstance(value, list):
        return tuple(_built(entry, inner) for inner in value)
    return None if value == "none" and type(None) in get_args(hint) else value


def is_class(hint: Any) -> TypeGuard[type[Any]]:
    """True for the nested classes."""
    return is_dataclass(hint)


def schema(cls: type[Any]) -> Schema:
    """JSON Schema (Draft 4) of a class, nested classes included; what has no default is required."""
    return table(properties(cls), required(cls), cls.__doc__ or "")


def properties(cls: type[Any]) -> dict[str, Schema]:
    """Of each field by its name."""
    return {f.name: _leaf(f) for f in fields(cls)}


def required(cls: type[Any]) -> list[str]:
    """Names of the fields without a default."""
    return [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]


def table(properties: dict[str, Schema], required: Sequence[str] = (), description: str = "") -> Schema:
    """A table of these keys and no others; Draft 4 knows no empty list of required ones."""
    about = {"description": description} if description else {}
    needed = {"required": list(required)} if required else {}
    return {"type": "object", **about, "properties": properties, **needed, "additionalProperties": False}


def listed(items: Schema, most: int, description: str) -> Schema:
    """A list of one entry or more."""
    return {"type": "array", "items": items, "minItems": 1, "maxItems": most, "description": description}


def file_schema(title: str, whole: Schema) -> Schema:
    """The schema of a file that is such a table, and may name its schema for editors."""
    properties = {"$schema": TEXT, **whole["properties"]}
    return {"$schema": DRAFT, "title": title, **whole, "properties": properties}


_JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null", dict: "object"}


def _leaf(f: Field[Any]) -> Schema:
    """Of a field that is None unless written, only what may be written."""
    hint = next(part for part in get_args(f.type) if part is not type(None)) if f.default is None else f.type
    if not f.metadata:
        return _typed(hint)
    bounds, choices = f.metadata["bounds"], f.metadata["choices"]
    typed = {} if "anyOf" in bounds else _enum(choices) if choices else _typed(hint)
    return {**typed, "description": f.metadata["doc"], **bounds}


def _enum(choices: Iterable[Any]) -> Schema:
    """Whole numbers have their type, too: JSON Schema takes 18.0 for 18, and a fingerprint does not."""
    words = list(choices)
    return {**({"type": "integer"} if isinstance(words[0], int) else {}), "enum": words}


def _typed(hint: Any) -> Schema:
    if is_class(hint):
        return schema(hint)
    if get_origin(hint) is Literal:
        return _enum(get_args(hint))
    if get_origin(hint) is tuple:
        return {"type": "array", "items": _typed(get_args(hint)[0])}
    types = [_JSON_TYPES[part] for part in (() if get_origin(hint) is dict else get_args(hint)) or (get_origin(hint) or hint,)]
    return {"type": types if len(types) > 1 else types[0]}
