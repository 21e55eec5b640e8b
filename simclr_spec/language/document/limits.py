"""What is too much to read: levels, keys, entries, values, large numbers, unprintable text."""

from __future__ import annotations

import math
import re
from typing import Any

from simclr_spec.core.errors import Fault
from simclr_spec.language.document.document import Document
from simclr_spec.language.document.positions import Path

DEEPEST = 24
"""Levels of tables and lists that a document may have."""
MOST_FAULTS = 100
"""Faults of one document that are shown; more of them help nobody."""
MOST_KEYS = 200
"""Keys of one table."""
MOST_ENTRIES = 10_000
"""Entries of one list."""
MOST_VALUES = 30_000
"""Values of a whole document."""
_LARGEST_INTEGER = 2**53
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def excess(document: Document) -> list[Fault]:
    """Too many entries or levels, numbers that are none or beyond 2^53, unprintable text; found without recursion."""
    found = []
    todo: list[tuple[Path, Any]] = [((), document.data)]
    seen = 0
    while todo:
        path, value = todo.pop()
        seen += 1
        if len(path) > DEEPEST:
            return [too_deep(document.file)]
        if seen > MOST_VALUES:
            return [Fault(document.file, 0, 0, f"a file of more than {MOST_VALUES:,} values is not read")]
        if isinstance(value, (dict, list)) and (sentence := _too_many(path, value)):
            return [document.fault(path, sentence)]
        if isinstance(value, dict):
            todo.extend(((*path, key), item) for key, item in value.items())
            found += [
                document.fault((*path, key), _unprintable("a key", sign), key=True)
                for key in value
                if (sign := _UNPRINTABLE.search(key))
            ]
        elif isinstance(value, list):
            todo.extend(((*path, index), item) for index, item in enumerate(value))
        elif isinstance(value, str) and (sign := _UNPRINTABLE.search(value)):
            found.append(document.fault(path, _unprintable(_last(path), sign)))
        elif isinstance(value, float) and not math.isfinite(value):
            found.append(document.fault(path, f"{_last(path)} must be a finite number, not {value}"))
        elif isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
            found.append(document.fault(path, too_large(path)))
    return found[:MOST_FAULTS]


def _too_many(path: Path, value: dict[str, Any] | list[Any]) -> str:
    most, what = (MOST_KEYS, "keys") if isinstance(value, dict) else (MOST_ENTRIES, "entries")
    return f"{_last(path)} has {len(value):,} {what}; at most {most:,} are read" if len(value) > most else ""


def too_large(path: Path) -> str:
    return f"{_last(path)} is too large a number; at most {_LARGEST_INTEGER}"


def _unprintable(what: str, sign: re.Match[str]) -> str:
    return f"{what} holds the unprintable character {sign[0]!r}"


def _last(path: Path) -> str:
    """The key at or above `path`; of { value, source, status } the one that has them."""
    *above, last = ["the file", *(part for part in path if isinstance(part, str))]
    return above[-1] if last == "value" and len(above) > 1 else last


def too_deep(file: str) -> Fault:
    return Fault(file, 0, 0, f"tables and lists nested more than {DEEPEST} deep are not read")
