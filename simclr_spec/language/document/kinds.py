"""Which kind of declared file a table of data is, by its keys; and the sentence for one that is taken for another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simclr_spec.language import declared
from simclr_spec.language.declared import FileKind
from simclr_spec.stages.kinds import KINDS

_TELLING: dict[str, FileKind] = {
    **dict.fromkeys(("stages", "encoders", "recipe"), "spec"),
    **dict.fromkeys(("sets", "networks", "layout"), "weights"),
    **dict.fromkeys(("rows", "columns", "figures"), "report"),
    **dict.fromkeys(("loader", "classes", "image_size"), "dataset"),
    **dict.fromkeys(("device", "memory_gib"), "machine"),
    **dict.fromkeys(("kind", "slots", "threads", "resources", "retries"), "runner"),
    **dict.fromkeys(("common", *KINDS, "machine", "extends"), "scale"),
}
"""Top-level keys that tell a kind of file, the surest first; recipes and scales look alike."""


def kind_of(data: Mapping[str, Any]) -> FileKind | None:
    """None where no key tells; a recipe is taken for a scale."""
    return next((kind for key, kind in _TELLING.items() if key in data), None)


def mistaken(name: str, data: Mapping[str, Any], wanted: FileKind) -> str | None:
    """The sentence for a file of another kind; None where a key of the `wanted` kind stands in it, or nothing that tells."""
    looked_for: FileKind = "scale" if wanted == "recipe" else wanted
    found = kind_of(data)
    if found is None or any(_TELLING.get(key) == looked_for for key in data):
        return None
    if found == "scale" and all(map(_sourced, data.values())):
        found = "recipe"
    return declared.another_kind(name, found, wanted)


def _sourced(value: Any) -> bool:
    """Whether every value of a table has its status, as in recipes; titles and lists of rules do not matter."""
    if not isinstance(value, Mapping):
        return True
    return "status" in value or all(isinstance(inner, (Mapping, list)) and _sourced(inner) for inner in value.values())
