"""jsonschema's validator of Draft 4, imported where a file is validated: commands that validate none start without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from simclr_spec.core.fields import Schema


@cache
def validator(schema: Callable[[], Schema]) -> Any:
    """One per kind of file. The schemas are ours, and tests check them; no command does."""
    return draft4(schema())


def draft4(schema: Schema) -> Any:
    return _draft4()(schema)


def is_type(value: Any, kind: str) -> bool:
    """Whether JSON Schema takes the value for a `boolean`, an `integer`, ..."""
    return bool(draft4({}).is_type(value, kind))


def twice(entries: list[Any]) -> int | None:
    """Index of the first entry that stands before; 1 and 1.0 are the same, 1 and true are not."""
    first: dict[Any, int] = {}
    return next((i for i, entry in enumerate(entries) if first.setdefault(_key(entry), i) < i), None)


def _key(value: Any) -> Any:
    return isinstance(value, bool), repr(value) if isinstance(value, (dict, list)) else value


@cache
def _draft4() -> Any:
    """jsonschema's own uniqueItems compares every pair of a mixed list."""
    from jsonschema import validators
    from jsonschema.exceptions import ValidationError

    def unique(validator: Any, wanted: bool, instance: Any, _schema: Any) -> Iterator[ValidationError]:
        if wanted and validator.is_type(instance, "array") and twice(instance) is not None:
            yield ValidationError("twice")

    extend: Any = validators.extend  # it has no types
    return extend(validators.Draft4Validator, {"uniqueItems": unique})
