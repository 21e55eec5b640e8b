"""The JSON Schema (Draft 4) of each kind of declared file: whole for the program; shorter, of equal meaning, for editors."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

from simclr_spec.core.fields import Schema
from simclr_spec.language import dataset, machine, overlay, report, runner, schema, weights

SCHEMAS: dict[str, Callable[[], Schema]] = {
    "spec": schema.spec,
    "recipe": overlay.recipe,
    "dataset": dataset.schema,
    "scale": overlay.scale,
    "runner": runner.schema,
    "machine": machine.schema,
    "report": report.schema,
    "weights": weights.schema,
}


def published(kind: str) -> Schema:
    """What stands in it more than once stands under `definitions`."""
    whole = SCHEMAS[kind]()
    counts = Counter(map(_text, _parts(whole)))
    names: dict[str, str] = {}
    definitions: Schema = {}

    def shorter(part: Schema, name: str) -> Schema:
        text = _text(part)
        if counts[text] == 1 or len(text) < 100:
            return _mapped(part, shorter)
        if text not in names:
            number = sum(taken.partition("-")[0] == name for taken in names.values())
            names[text] = f"{name}-{number + 1}" if number else name
            definitions[names[text]] = _mapped(part, shorter)
        return {"$ref": f"#/definitions/{names[text]}"}

    found = _mapped(whole, shorter)
    return {**found, "definitions": definitions} if definitions else found


def _text(part: Schema) -> str:
    return json.dumps(part, sort_keys=True)


def _mapped(part: Schema, change: Callable[[Schema, str], Schema]) -> Schema:
    """The schema with `change(schema, name)` in place of every schema directly inside."""
    found: Schema = {}
    for word, value in part.items():
        if word in ("properties", "patternProperties"):
            found[word] = {name: change(inner, name if word == "properties" else "named") for name, inner in value.items()}
        elif word in ("anyOf", "oneOf"):
            found[word] = [change(inner, "choice") for inner in value]
        elif isinstance(value, dict):
            found[word] = change(value, word)
        else:
            found[word] = value
    return found


def _parts(part: Schema) -> list[Schema]:
    """Every schema inside, at any depth."""
    found: list[Schema] = []

    def look(inner: Schema, _name: str) -> Schema:
        found.append(inner)
        return _mapped(inner, look)

    _mapped(part, look)
    return found
