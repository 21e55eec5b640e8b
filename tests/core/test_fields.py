"""Fields declared once: the schema that is made from a class, and the instance that is made from plain values."""

# No `from __future__ import annotations`: see core/fields.py.
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from jsonschema.validators import Draft4Validator

from simclr_spec.core.fields import POSITIVE, SHARE, build, described, file_schema, properties, required, schema


@dataclass(frozen=True, kw_only=True)
class Inner:
    """An inner table."""

    share: float = described("a share", SHARE)
    word: Literal["a", "b"] = described("one of two")


@dataclass(frozen=True, kw_only=True)
class Outer:
    """A file."""

    inner: Inner = described("what is inside")
    plain: Inner
    inners: tuple[Inner, ...] = described("several", maxItems=2)
    rate: float | None = described("a rate, or null", POSITIVE)
    numbers: tuple[float | None, ...] | None = described("some", default=None)
    free: dict[str, Any] = described("any keys", default_factory=dict)
    depth: int = described("of a registry", choices={18: "", 50: ""}, default=50)
    either: Literal["auto"] | int = described(
        "two things", {"anyOf": [{"enum": ["auto"]}, {"type": "integer"}]}, default="auto"
    )


def test_the_schema_of_each_type() -> None:
    found = properties(Outer)
    assert found["rate"] == {
        "type": ["number", "null"],
        "description": "a rate, or null",
        "minimum": 0,
        "exclusiveMinimum": True,
    }
    assert found["numbers"] == {"type": "array", "items": {"type": ["number", "null"]}, "description": "some"}
    assert found["free"] == {"type": "object", "description": "any keys"}
    assert found["depth"] == {"type": "integer", "enum": [18, 50], "description": "of a registry"}
    assert found["either"] == {"anyOf": [{"enum": ["auto"]}, {"type": "integer"}], "description": "two things"}
    assert found["inner"] == {**schema(Inner), "description": "what is inside"}
    assert found["plain"] == schema(Inner)
    assert found["inners"] == {"type": "array", "items": schema(Inner), "description": "several", "maxItems": 2}


def test_what_has_no_default_is_required() -> None:
    assert required(Outer) == ["inner", "plain", "inners", "rate"]
    assert required(Inner) == schema(Inner)["required"] == ["share", "word"]


INNER = {"share": 0.5, "word": "a"}
WHOLE: dict[str, Any] = {"inner": INNER, "plain": INNER, "inners": [INNER], "rate": 0.1}


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({}, True),
        ({"rate": None, "$schema": "x.json"}, True),
        ({"rate": 0}, False),
        ({"inner": {**INNER, "share": 1.5}}, False),
        ({"inners": [INNER] * 3}, False),
        ({"inners": [{"share": 0.5}]}, False),
        ({"other": 1}, False),
        ({"depth": 34}, False),
    ],
)
def test_a_file_of_such_a_class(change: dict[str, Any], valid: bool) -> None:
    whole = file_schema("a file", schema(Outer))
    Draft4Validator.check_schema(whole)
    assert Draft4Validator(whole).is_valid({**WHOLE, **change}) == valid


def test_values_become_an_instance() -> None:
    inner = Inner(share=0.5, word="a")
    found = build(Outer, {**WHOLE, "rate": "none", "numbers": [1.0, "none"], "free": {"a": [1]}})
    assert found == Outer(inner=inner, plain=inner, inners=(inner,), rate=None, numbers=(1.0, None), free={"a": [1]})


@pytest.mark.parametrize("values", [{"share": 0.5}, {**INNER, "other": 1}])
def test_missing_and_unknown_fields_are_errors(values: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"word|other"):
        build(Inner, values)
