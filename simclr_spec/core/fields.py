"""Declared fields: name, type, bounds and a line of documentation, said once; schemas and values are made from them."""

from collections.abc import Iterable
from dataclasses import field, fields, is_dataclass
from typing import Any, Literal, TypeGuard, get_args, get_origin


def described(doc: str, interval: dict[str, Any] | None = None, *, choices: Iterable[Any] | None = None, **bounds: Any) -> Any:
    """A field with its one-line documentation and JSON Schema bounds (minimum, maximum, exclusiveMinimum, ...).

    `choices` are the keys of a registry, where the type is not a Literal."""
    return field(metadata={"doc": doc, "bounds": {**(interval or {}), **bounds}, "choices": choices})


POSITIVE = {"exclusiveMinimum": 0}


SHARE = {"minimum": 0, "maximum": 1}


def build(cls: type[Any], values: dict[str, Any]) -> Any:
    """Nested plain values (as in step.json) -> frozen parameters. Raises TypeError on a missing or unknown field."""
    hints = {f.name: f.type for f in fields(cls)}
    known = {
        name: build(hint, values[name]) if is_class(hint) else values[name] for name, hint in hints.items() if name in values
    }
    if unknown := values.keys() - known.keys():
        raise TypeError(f"{cls.__name__} has no field {min(unknown)!r}")
    return cls(**known)


def is_class(hint: Any) -> TypeGuard[type[Any]]:
    """True for the nested parameter classes."""
    return is_dataclass(hint)


def schema(cls: type[Any]) -> dict[str, Any]:
    """JSON Schema of one parameter class, nested classes included; nothing is required."""
    properties = {}
    for f in fields(cls):
        properties[f.name] = schema(f.type) if is_class(f.type) else _leaf(f.type, f.metadata)
    return {"type": "object", "description": cls.__doc__ or "", "properties": properties, "additionalProperties": False}


_JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}


def _leaf(hint: Any, metadata: Any) -> dict[str, Any]:
    choices = get_args(hint) if get_origin(hint) is Literal else metadata["choices"]
    if choices:
        return {"enum": list(choices), "description": metadata["doc"]}
    types = [_JSON_TYPES[t] for t in (get_args(hint) or (hint,))]
    return {"type": types if len(types) > 1 else types[0], "description": metadata["doc"], **metadata["bounds"]}
