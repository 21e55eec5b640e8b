"""How a parameter may be written in a file: plain, or with its source and status; dotted names stand in nested tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from simclr_spec.core.fields import TEXT, Schema, table

ASSUMED = "assumed"
STATUSES = ("paper", "code", "author", "derived", ASSUMED)
"""Who says a value; the last is nobody's word but ours."""


def settable(leaf: Schema) -> Schema:
    """The schema of a written value: an optional field takes 'none', which TOML lacks."""
    if "null" not in leaf.get("type", ()):
        return leaf
    return {"anyOf": [without_null(leaf), {"enum": ["none"]}], "description": leaf["description"]}


def without_null(leaf: Schema) -> Schema:
    """The leaf of a field that may be null, or of any other."""
    kinds = leaf["type"]
    return {**leaf, "type": kinds if isinstance(kinds, str) else next(kind for kind in kinds if kind != "null")}


def sourced(leaf: Schema) -> Schema:
    """{ value, source, status }, as in a recipe."""
    properties = {"value": settable(leaf), "source": TEXT, "status": {"enum": list(STATUSES)}}
    return table(properties, list(properties), leaf["description"])


def free(leaf: Schema) -> Schema:
    """A plain value, or a table { value, source, status } whose last two may be left out."""
    return {"anyOf": [settable(leaf), {**sourced(leaf), "required": ["value"]}], "description": leaf["description"]}


def tables(leaves: Mapping[str, Schema], wrap: Callable[[Schema], Schema]) -> Schema:
    """Dotted leaves -> nested tables, in which nothing is required."""
    root = table({})
    for dotted, leaf in leaves.items():
        inner = root
        *above, last = dotted.split(".")
        for part in above:
            inner = inner["properties"].setdefault(part, table({}))
        inner["properties"][last] = wrap(leaf)
    return root
