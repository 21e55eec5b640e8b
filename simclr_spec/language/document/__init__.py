"""TOML and JSON text -> validated data; every fault with file:line:column, all at once.

A fault stands at the key where the key is wrong (unknown, set twice) and at the value otherwise.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any

from simclr_spec.core.errors import Fault, SpecError, UsageError
from simclr_spec.language import declared
from simclr_spec.language.document.accept import accepts
from simclr_spec.language.document.positions import Path, Places, scan

__all__ = [
    "DEEPEST",
    "MOST_ENTRIES",
    "MOST_FAULTS",
    "MOST_KEYS",
    "MOST_VALUES",
    "Document",
    "Path",
    "load",
    "parse",
    "referred",
    "toml_value",
    "value_fault",
]

DEEPEST = 24
"""Levels of tables and lists that a document may have."""
MOST_FAULTS = 100
"""Faults of one document that are told; more of them help nobody."""
MOST_KEYS = 200
"""Keys of one table."""
MOST_ENTRIES = 10_000
"""Entries of one list."""
MOST_VALUES = 30_000
"""Values of a whole document."""
_LARGEST_INTEGER = 2**53
_MANY_DIGITS = re.compile(r"[+-]?\d(?:_?\d){1000,}(?![\d.eE])")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

_STRINGS = (
    r'"{3}(?:[^"\\]|\\[\s\S]|"(?!""))*+(?:"{3,5}|\\?\Z)',
    r"'{3}(?:[^']|'(?!''))*+(?:'{3,5}|\Z)",
    r'"(?:[^"\\\n]|\\.)*+"?',
    r"'[^'\n]*+'?",
)
_PART = rf"(?:{'|'.join(_STRINGS)}|[A-Za-z0-9_-]+)"
_DEEP_KEY = rf"#[^\n]*+|{_PART}(?:[ \t]*\.[ \t]*{_PART}){{0,{DEEPEST - 1}}}(?P<excess>[ \t]*\.[ \t]*{_PART})?"
"""Comments, strings and dotted keys, so that only the dots of keys count. What is not closed ends with its line or the text."""


@dataclass(frozen=True, eq=False)
class Document:
    """A validated file: its data, and the place of everything in it."""

    name: str
    file: str
    text: str
    data: dict[str, Any]
    is_json: bool
    folder: FilePath | None = None

    @cached_property
    def places(self) -> Places:
        """Scanned when first asked for."""
        return scan(self.text, self.is_json)

    def line(self, path: Path) -> int:
        return self.places.of(path, key=True)[0]

    def fault(self, path: Path, sentence: str, *, key: bool = False) -> Fault:
        """A fault at the value at `path`, or at its key."""
        return Fault(self.file, *self.places.of(path, key), sentence)


def referred(document: Document, kind: declared.Kind) -> str | None:
    """The file that the document's key `kind` names: declared, or a path that starts beside the document. Raises SpecError."""
    name = document.data.get(kind)
    if name is None:
        return None
    if declared.is_path(name) and document.folder is not None:
        name = str(document.folder / name)
    try:
        declared.read(kind, name)
    except UsageError as error:
        raise SpecError([document.fault((kind,), str(error))]) from None
    return str(name)


def load(kind: declared.Kind, name: str, schema: Callable[[], dict[str, Any]], folder: FilePath | None = None) -> Document:
    """Read and validate a declared file or a path. SpecError: every fault. UsageError: no such file, or another kind's."""
    document = parse(declared.read(kind, name, folder))
    wanted = schema()
    if not accepts(wanted, document.data):
        from simclr_spec.language.document.kinds import mistaken
        from simclr_spec.language.document.validation import faults

        if sentence := mistaken(document.file, document.data, kind):
            raise UsageError(sentence)
        raise SpecError(faults(document, wanted))
    return document


def parse(file: declared.File) -> Document:
    """Text -> data, not yet validated against a schema; refuses syntax errors, keys set twice, NaN, and excess."""
    is_json = file.shown.endswith(".json")
    text = file.text.removeprefix("\ufeff")  # the mark with which Windows editors begin a file
    text = text if is_json else text.replace("\r\n", "\n")
    document = Document(file.name, file.shown, text, {}, is_json, file.folder)
    if not is_json and (deep := _deep_key(text)):
        place = text.count("\n", 0, deep.start()) + 1, deep.start() - text.rfind("\n", 0, deep.start())
        raise SpecError([Fault(file.shown, *place, f"a key of more than {DEEPEST} dotted parts is not read")])
    try:
        data = _json(text) if is_json else _toml(text)
    except RecursionError:
        raise SpecError([_too_deep(file.shown)]) from None
    except ValueError as error:
        raise SpecError([_syntax(document, error)]) from None
    if not isinstance(data, dict):
        raise SpecError([Fault(file.shown, 1, 1, "the top level must be a table of keys and values")])
    document.data.update(data)
    if found := _excess(document):
        raise SpecError(found)
    return document


def value_fault(name: str, value: Any, schema: dict[str, Any]) -> str:
    """What is wrong with a single value that stands in no file, or the empty string."""
    from simclr_spec.language.document.validation import faults

    document = Document(name, name, "", {name: value}, False)
    found = _excess(document) or faults(document, {"type": "object", "properties": {name: schema}})
    return found[0].sentence if found else ""


def toml_value(text: str) -> Any:
    """The value that `text` means in TOML; ValueError when it means none."""
    try:
        value = {} if _deep_key(text) else _toml(f"v = {text}")
    except RecursionError:
        raise ValueError("nested too deep") from None
    if list(value) != ["v"]:
        raise ValueError("more than one value")
    return value["v"]


def _deep_key(text: str) -> re.Match[str] | None:
    """The first key of too many dotted parts: tomllib needs memory by their square."""
    if all(line.count(".") < DEEPEST for line in text.split("\n")):
        return None  # nearly always, and much faster
    return next((found for found in re.finditer(_DEEP_KEY, text) if found["excess"]), None)


def _toml(text: str) -> Any:
    import tomllib

    return tomllib.loads(text)


def _json(text: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs):
            raise ValueError("a key is set twice")
        return value

    return json.loads(text, object_pairs_hook=once)


def _syntax(document: Document, error: ValueError) -> Fault:
    """One sentence for what the parser refused, placed."""
    if document.places.twice:
        path, first, second = document.places.twice[0]
        line, column = document.places.line_column(second)
        what = f"[{_dotted(path)}]" if second and document.text[second - 1] in "[." else repr(str(path[-1]))
        return Fault(document.file, line, column, f"{what} is set twice; first in line {document.places.line_column(first)[0]}")
    if too_long := _too_long_integer(document):
        return document.fault(too_long, _too_large(too_long))
    message = getattr(error, "msg", None) or str(error)
    if isinstance(error, json.JSONDecodeError):
        return Fault(document.file, error.lineno, error.colno, f"not JSON: {message[:1].lower()}{message[1:]}")
    place = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", str(error))
    sentence = re.sub(r" \(at [^()]*\)$", "", str(error))
    sentence = f"not TOML: {sentence[:1].lower()}{sentence[1:]}"
    if place is None:
        return Fault(document.file, 0, 0, sentence)
    if place.group(1):
        return Fault(document.file, int(place.group(1)), int(place.group(2)), sentence)
    return Fault(document.file, *document.places.line_column(len(document.text)), sentence)


def _too_long_integer(document: Document) -> Path | None:
    """The first integer of more digits than Python reads."""
    return next((path for path, at in document.places.values.items() if _MANY_DIGITS.match(document.text, at)), None)


def _dotted(path: Path) -> str:
    return ".".join(str(part) for part in path if isinstance(part, str))


def _too_deep(file: str) -> Fault:
    return Fault(file, 0, 0, f"tables and lists nested more than {DEEPEST} deep are not read")


def _excess(document: Document) -> list[Fault]:
    """Too many entries or levels, numbers that are none or beyond 2^53, unprintable text; found without recursion."""
    found = []
    todo: list[tuple[Path, Any]] = [((), document.data)]
    seen = 0
    while todo:
        path, value = todo.pop()
        seen += 1
        if len(path) > DEEPEST:
            return [_too_deep(document.file)]
        if seen > MOST_VALUES:
            return [Fault(document.file, 0, 0, f"a file of more than {MOST_VALUES:,} values is not read")]
        if isinstance(value, (dict, list)) and (sentence := _too_many(path, value)):
            return [document.fault(path, sentence)]
        if isinstance(value, dict):
            todo.extend(((*path, key), item) for key, item in value.items())
            found += [
                document.fault((*path, key), _unprintable("a key", key), key=True) for key in value if _UNPRINTABLE.search(key)
            ]
        elif isinstance(value, list):
            todo.extend(((*path, index), item) for index, item in enumerate(value))
        elif isinstance(value, str) and _UNPRINTABLE.search(value):
            found.append(document.fault(path, _unprintable(_last(path), value)))
        elif isinstance(value, float) and not math.isfinite(value):
            found.append(document.fault(path, f"{_last(path)} must be a finite number, not {value}"))
        elif isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
            found.append(document.fault(path, _too_large(path)))
    return found[:MOST_FAULTS]


def _too_many(path: Path, value: dict[str, Any] | list[Any]) -> str:
    most, what = (MOST_KEYS, "keys") if isinstance(value, dict) else (MOST_ENTRIES, "entries")
    return f"{_last(path)} has {len(value):,} {what}; at most {most:,} are read" if len(value) > most else ""


def _too_large(path: Path) -> str:
    return f"{_last(path)} is too large a number; at most {_LARGEST_INTEGER}"


def _unprintable(what: str, text: str) -> str:
    found = _UNPRINTABLE.search(text)
    return f"{what} holds the unprintable character {found[0]!r}" if found else ""


def _last(path: Path) -> str:
    """The key at or above `path`; of { value, source, status } the one that has them."""
    *above, last = ["the file", *(part for part in path if isinstance(part, str))]
    return above[-1] if last == "value" and len(above) > 1 else last
