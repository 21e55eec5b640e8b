"""A document against a JSON Schema (Draft 4): each disagreement as one plain sentence at the exact place.

Choices between tables are told apart by their `kind`; choices between values by their type.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

from simclr_spec.core.errors import Fault, did_you_mean
from simclr_spec.core.words import either, number, quoted
from simclr_spec.language.document.document import Document
from simclr_spec.language.document.limits import MOST_FAULTS, excess
from simclr_spec.language.document.positions import dotted
from simclr_spec.language.document.reading import toml_value
from simclr_spec.language.document.validator import draft4, is_type, twice

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_TYPES = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "object": "a table",
    "array": "a list",
    "null": "null",
}
_BOUNDS = {
    "minimum": ("at least", "more than", "exclusiveMinimum"),
    "maximum": ("at most", "less than", "exclusiveMaximum"),
}


def faults(document: Document, validator: Any) -> list[Fault]:
    """Every disagreement of the document with the validator's schema, in order of place."""
    found = (fault for error in validator.iter_errors(document.data) for fault in _fault(document, error, ()))
    return sorted(set(itertools.islice(found, MOST_FAULTS)))


def value_fault(name: str, value: Any, schema: dict[str, Any]) -> str:
    """What is wrong with a single value that stands in no file, or the empty string."""
    document = Document(name=name, file=name, text="", data={name: value}, is_json=False)
    found = excess(document) or faults(document, draft4({"type": "object", "properties": {name: schema}}))
    return found[0].sentence if found else ""


def _fault(document: Document, error: ValidationError, above: tuple[str | int, ...]) -> Iterator[Fault]:
    path = (*above, *error.relative_path)
    instance: Any = error.instance
    schema: Any = error.schema
    keyword, wanted = error.validator, cast("Any", error.validator_value)
    if keyword in ("anyOf", "oneOf"):
        yield from _choice(document, error, path)
    elif keyword == "additionalProperties":
        patterns = schema.get("patternProperties", {})
        for key in instance:
            if key not in schema.get("properties", {}) and not any(re.search(p, key) for p in patterns):
                yield document.fault((*path, key), _unknown_key(key, path, schema), key=True)
    elif keyword == "required":
        for key in wanted:
            if key not in instance and not _misspelled(key, instance, schema):
                yield document.fault(path, f"{_where(path)} lacks the key {key!r}", key=True)
    elif keyword in _BOUNDS and schema.get("maximum") == 1 and schema.get("minimum") == 0:
        interval = f"{'(' if schema.get('exclusiveMinimum') else '['}0, 1]"
        hint = f"; for {number(instance)} % write {number(instance / 100)}" if 1 < instance <= 100 else ""
        yield document.fault(path, f"{_name(path)} {quoted(instance)} is outside {interval}{hint}")
    elif keyword in _BOUNDS:
        at, beyond, exclusive = _BOUNDS[keyword]
        bound = f"{beyond if schema.get(exclusive) else at} {wanted}"
        yield document.fault(path, f"{_name(path)} must be {bound}, not {quoted(instance)}")
    elif keyword in ("minItems", "minProperties"):
        yield document.fault(path, f"{_name(path)} must not be empty")
    elif keyword in ("maxItems", "maxProperties"):
        yield document.fault(path, f"{_name(path)} has {len(instance)} entries; at most {wanted} are read")
    elif keyword == "maxLength":
        yield document.fault(path, f"{_name(path)} has {len(instance)} characters; at most {wanted} are read")
    elif keyword == "pattern":
        must = f"be {schema['means']}" if "means" in schema else f"match {wanted}"
        yield document.fault(path, f"{_name(path)} must {must}, not {quoted(instance)}")
    elif keyword == "uniqueItems":
        index = cast("int", twice(instance))
        yield document.fault((*path, index), f"{_name(path)} holds {quoted(instance[index])} twice")
    else:
        yield document.fault(path, f"{_name(path)} must be {describe(schema)}, not {quoted(instance)}{_hint(instance, schema)}")


def _choice(document: Document, error: ValidationError, path: tuple[str | int, ...]) -> Iterator[Fault]:
    """The faults of the branch that was meant, else one sentence about all branches."""
    branches: list[dict[str, Any]] = cast("Any", error.validator_value)
    meant = _meant(branches, error.instance)
    if meant is not None:
        for inner in error.context or ():
            if inner.relative_schema_path[0] == meant:
                yield from _fault(document, inner, path)
        return
    kinds = [word for branch in branches for word in _kinds(branch)]
    if kinds and isinstance(error.instance, dict):
        kind = error.instance.get("kind")
        near = [key for key in error.instance if did_you_mean(key, ["kind"])]
        if kind is None and near:
            yield document.fault((*path, near[0]), f"unknown key {quoted(near[0])} {_in(path)}; did you mean 'kind'?", key=True)
        elif kind is None:
            yield document.fault(path, f"{_where(path)} lacks the key 'kind'", key=True)
        else:
            sentence = f"kind must be {either(map(quoted, kinds))}, not {quoted(kind)}{did_you_mean(kind, kinds)}"
            yield document.fault((*path, "kind"), sentence)
        return
    wanted, hint = describe({"anyOf": branches}), _hint(error.instance, {"anyOf": branches})
    yield document.fault(path, f"{_name(path)} must be {wanted}, not {quoted(error.instance)}{hint}")


def _hint(value: Any, schema: dict[str, Any]) -> str:
    """For a text: the word that was meant; or no quotes, where what stands in them is right without."""
    if not isinstance(value, str):
        return ""
    with contextlib.suppress(ValueError):
        if draft4(schema).is_valid(toml_value(value)):
            return "; drop the quotes"
    return did_you_mean(value, _words([schema]))


def _meant(branches: list[dict[str, Any]], instance: Any) -> int | None:
    """The only branch whose kind, else whose type, fits the instance."""
    if isinstance(instance, dict):
        by_kind = [i for i, branch in enumerate(branches) if instance.get("kind") in _kinds(branch)]
        if by_kind:
            return by_kind[0]
        if any(map(_kinds, branches)):
            return None
    fitting = [i for i, branch in enumerate(branches) if any(is_type(instance, kind) for kind in _types(branch))]
    return fitting[0] if len(fitting) == 1 else None


def _kinds(branch: dict[str, Any]) -> list[str]:
    """The kinds of a table of some kinds; none of anything else."""
    kinds: list[str] = branch.get("properties", {}).get("kind", {}).get("enum", [])
    return kinds


def _types(schema: dict[str, Any]) -> list[str]:
    wanted = schema.get("type", [])
    return [wanted] if isinstance(wanted, str) else wanted


def describe(schema: dict[str, Any]) -> str:
    """What a schema allows, in words."""
    if "enum" in schema:
        return either(map(quoted, schema["enum"]))
    if "anyOf" in schema:
        return either(describe(branch) for branch in schema["anyOf"] if branch.get("type") != "null")
    return either(_TYPES[kind] for kind in _types(schema) if kind != "null")


def _words(schemas: Iterable[dict[str, Any]]) -> list[str]:
    words = []
    for schema in schemas:
        words += [word for word in schema.get("enum", []) if isinstance(word, str)]
        words += _words(schema.get("anyOf", []))
    return words


def _unknown_key(key: str, path: tuple[str | int, ...], schema: dict[str, Any]) -> str:
    known = schema.get("properties", {})
    if not known and schema.get("patternProperties"):
        return f"{_name(path)} may have keys of letters, digits, '_' and '-', at most 40, not {quoted(key)}"
    return f"unknown key {quoted(key)} {_in(path)}{did_you_mean(key, known)}"


def _misspelled(key: str, instance: dict[str, Any], schema: dict[str, Any]) -> bool:
    """True when an unknown key of the instance is a near miss of the missing one: then one fault says both."""
    known = schema.get("properties", {})
    return any(did_you_mean(other, known) == f"; did you mean {key!r}?" for other in instance if other not in known)


def _where(path: tuple[str | int, ...]) -> str:
    return f"[{dotted(path)}]" if path else "the file"


def _in(path: tuple[str | int, ...]) -> str:
    return f"in [{dotted(path)}]" if path else "at the top level"


def _name(path: tuple[str | int, ...]) -> str:
    """`epochs`, or `seeds[2]` for an entry of a list."""
    keys = [i for i, part in enumerate(path) if isinstance(part, str)]
    if not keys:
        return "the file"
    name = str(path[keys[-1]])
    if name in ("value", "set") and len(keys) > 1:
        name = str(path[keys[-2]])
    return name + "".join(f"[{part}]" for part in path[keys[-1] + 1 :])
