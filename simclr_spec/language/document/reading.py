"""TOML and JSON text -> data, and the value of a single word: syntax errors, keys set twice and excess are refused, placed."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from typing import Any

from simclr_spec.core.errors import Fault, SpecError
from simclr_spec.language import declared
from simclr_spec.language.document.document import Document
from simclr_spec.language.document.limits import DEEPEST, excess, too_deep, too_large
from simclr_spec.language.document.positions import Path, dotted

_MANY_DIGITS = re.compile(r"[+-]?\d(?:_?\d){1000,}(?![\d.eE])")

_STRINGS = (
    r'"{3}(?:[^"\\]|\\[\s\S]|"(?!""))*+(?:"{3,5}|\\?\Z)',
    r"'{3}(?:[^']|'(?!''))*+(?:'{3,5}|\Z)",
    r'"(?:[^"\\\n]|\\.)*+"?',
    r"'[^'\n]*+'?",
)
_PART = rf"(?:{'|'.join(_STRINGS)}|[A-Za-z0-9_-]+)"
_DEEP_KEY = rf"#[^\n]*+|{_PART}(?:[ \t]*\.[ \t]*{_PART}){{0,{DEEPEST - 1}}}(?P<excess>[ \t]*\.[ \t]*{_PART})?"
"""Comments, strings and dotted keys, so that only the dots of keys count. What is not closed ends with its line or the text."""


def parse(file: declared.File) -> Document:
    """Text -> data, not yet validated against a schema; refuses syntax errors, keys set twice, NaN, and excess."""
    is_json = declared.is_json(file.shown)
    text = file.text.removeprefix("\ufeff")  # the mark with which Windows editors begin a file
    text = text if is_json else text.replace("\r\n", "\n")
    document = Document(name=file.name, file=file.shown, text=text, is_json=is_json, folder=file.folder)
    document = replace(document, data=_data(document))
    if found := excess(document):
        raise SpecError(found)
    return document


def _data(document: Document) -> dict[str, Any]:
    """Of a document that has only its text."""
    if not document.is_json and (deep := _deep_key(document.text)):
        text, at = document.text, deep.start()  # not by its places: they need memory by the square of the parts, too
        place = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
        raise SpecError([Fault(document.file, *place, f"a key of more than {DEEPEST} dotted parts is not read")])
    try:
        data = _json(document.text) if document.is_json else tomllib.loads(document.text)
    except RecursionError:
        raise SpecError([too_deep(document.file)]) from None
    except ValueError as error:
        raise SpecError([_syntax(document, error)]) from None
    if not isinstance(data, dict):
        raise SpecError([Fault(document.file, 1, 1, "the top level must be a table of keys and values")])
    return data


def toml_value(text: str) -> Any:
    """The value that `text` means in TOML; ValueError when it means none."""
    try:
        value = {} if _deep_key(text) else tomllib.loads(f"v = {text}")
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
        what = f"[{dotted(path)}]" if second and document.text[second - 1] in "[." else repr(str(path[-1]))
        return Fault(document.file, line, column, f"{what} is set twice; first in line {document.places.line_column(first)[0]}")
    if (too_long := _too_long_integer(document)) is not None:
        return document.fault(too_long, too_large(too_long))
    if isinstance(error, json.JSONDecodeError):
        return Fault(document.file, error.lineno, error.colno, f"not JSON: {error.msg[:1].lower()}{error.msg[1:]}")
    if document.is_json:  # a key set twice, or a long integer, at no place: the scan for places gave up
        return too_deep(document.file)
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
