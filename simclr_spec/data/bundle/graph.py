"""The graph of objects in a checkpoint (trackable_object_graph.proto): what the tensors of a key are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from simclr_spec.data.bundle import proto

KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def names(graph: bytes, keys: Collection[str]) -> dict[str, str]:
    """Key -> full name; where there is none, or another tensor has it too, the key without what all keys end with.

    Raises ValueError."""
    full = _full_names(graph, set(keys))
    used = Counter(full.values())
    named = {key: name if used[name := full.get(key, "")] == 1 else key.removesuffix(_VALUE) for key in keys}
    if len(set(named.values())) < len(named):
        raise ValueError("two tensors have the same name")
    return named


def _full_names(graph: bytes, keys: Collection[str]) -> dict[str, str]:
    found = {}
    for node in proto.each(graph, 1):
        for attribute in proto.each(node, 2):
            fields = proto.record(attribute)
            key, name = (proto.inside(fields, field).decode(errors="replace") for field in (3, 2))
            if key in keys and name:
                found[key] = name.removesuffix(":0")
    return found
