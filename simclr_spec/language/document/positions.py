"""Where each key and value of a TOML or JSON text stands: a light scan beside the real parsers, which give no places.

The scan trusts the text: the real parser has accepted it, or refused it for a reason that the scan may help to place.
"""

from __future__ import annotations

import contextlib
import json
import re
from bisect import bisect_right

Path = tuple[str | int, ...]
"""Keys and array indices from the top of the document."""


def dotted(path: Path) -> str:
    """The keys alone, as a table's header has them."""
    return ".".join(part for part in path if isinstance(part, str))


class LostError(Exception):
    """The text is not what the scan expects; what was found so far stands."""


class Places:
    """Offsets of keys and values by path, and the keys that are set twice."""

    def __init__(self, text: str) -> None:
        self.keys: dict[Path, int] = {}
        self.values: dict[Path, int] = {}
        self.twice: list[tuple[Path, int, int]] = []
        """(path, offset of the first, offset of the second)"""
        self._lines = [0, *(found.end() for found in re.finditer("\n", text))]

    def line_column(self, offset: int) -> tuple[int, int]:
        """Both count from 1; columns count characters."""
        line = bisect_right(self._lines, offset)
        return line, offset - self._lines[line - 1] + 1

    def of(self, path: Path, key: bool) -> tuple[int, int]:
        """Line and column of the key or the value at `path`, else of the nearest table around it."""
        while path:
            offset = self.keys.get(path) if key else self.values.get(path)
            if offset is None:
                offset = self.values.get(path) if key else self.keys.get(path)
            if offset is not None:
                return self.line_column(offset)
            path, key = path[:-1], True
        return 1, 1


_SPACE = re.compile(r"[ \t]*")
_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
STRING = re.compile(
    r'"""(?:[^\\]|\\[\s\S])*?"""(?:"{0,2})' + r"|'''[\s\S]*?'''(?:'{0,2})" + r'|"(?:[^"\\\n]|\\.)*"' + r"|'[^'\n]*'"
)
_SCALAR = re.compile(r"\d{4}-\d\d-\d\d[ Tt]\d\d:[^\s,\]}#]+|[^\s,\]}#=]+")


class _Scan:
    def __init__(self, text: str) -> None:
        self.text, self.at, self.places = text, 0, Places(text)

    def skip(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise LostError
        self.at = found.end()
        return found.group()

    def peek(self, token: str) -> bool:
        return self.text.startswith(token, self.at)

    def expect(self, token: str) -> None:
        if not self.peek(token):
            raise LostError
        self.at += len(token)

    def note(self, path: Path, key: int, value: int) -> None:
        if path in self.places.keys:
            self.places.twice.append((path, self.places.keys[path], key))
        else:
            self.places.keys[path], self.places.values[path] = key, value


class _Toml(_Scan):
    """Tables, arrays of tables, dotted and quoted keys, inline tables, arrays and strings over several lines."""

    def document(self) -> None:
        table: Path = ()
        headers: dict[Path, int] = {}
        counts: dict[Path, int] = {}
        self.skip(_BLANK)
        while self.at < len(self.text):
            if self.peek("["):
                table = self.header(headers, counts)
            else:
                self.assignment(table)
            self.skip(_BLANK)

    def header(self, headers: dict[Path, int], counts: dict[Path, int]) -> Path:
        several = self.peek("[[")
        self.expect("[[" if several else "[")
        parts = self.key()
        self.expect("]]" if several else "]")
        path: Path = ()
        for i, (name, offset) in enumerate(parts):
            path = (*path, name)
            last = i == len(parts) - 1
            if last and several:
                counts[path] = counts.get(path, -1) + 1
                self.places.keys.setdefault(path, offset)
                path = (*path, counts[path])
                self.places.keys[path] = self.places.values[path] = offset
            elif last:
                if path in headers or (path in self.places.values and path not in counts):
                    self.places.twice.append((path, self.places.keys[path], offset))
                headers[path] = self.places.keys[path] = offset
            else:
                self.places.keys.setdefault(path, offset)
            if not (last and several) and path in counts:
                path = (*path, counts[path])
        return path

    def key(self) -> list[tuple[str, int]]:
        """The parts of a dotted key with their offsets."""
        parts = []
        while True:
            self.skip(_SPACE)
            start = self.at
            quoted = self.peek('"') or self.peek("'")
            parts.append((_unquote(self.skip(STRING)) if quoted else self.skip(_BARE), start))
            self.skip(_SPACE)
            if not self.peek("."):
                return parts
            self.at += 1

    def assignment(self, table: Path) -> None:
        path = table
        parts = self.key()
        for name, offset in parts[:-1]:
            path = (*path, name)
            self.places.keys.setdefault(path, offset)
        self.expect("=")
        self.skip(_SPACE)
        name, offset = parts[-1]
        self.note((*path, name), offset, self.at)
        self.value((*path, name))

    def value(self, path: Path) -> None:
        self.places.values.setdefault(path, self.at)
        if self.peek("["):
            self.array(path)
        elif self.peek("{"):
            self.inline_table(path)
        else:
            self.skip(STRING if self.peek('"') or self.peek("'") else _SCALAR)

    def array(self, path: Path) -> None:
        self.expect("[")
        index = 0
        while True:
            self.skip(_BLANK)
            if self.peek("]"):
                break
            self.value((*path, index))
            self.skip(_BLANK)
            if self.peek("]"):
                break
            self.expect(",")
            index += 1
        self.expect("]")

    def inline_table(self, path: Path) -> None:
        self.expect("{")
        self.skip(_BLANK)
        while not self.peek("}"):
            self.assignment(path)
            self.skip(_BLANK)
            if not self.peek("}"):
                self.expect(",")
                self.skip(_BLANK)
        self.expect("}")


def _unquote(raw: str) -> str:
    if raw[0] == "'":
        return raw[1:-1]
    try:
        return str(json.loads(raw))
    except ValueError:
        return raw[1:-1]


class _Json(_Scan):
    def document(self) -> None:
        self.value(())

    def value(self, path: Path) -> None:
        self.skip(_BLANK)
        self.places.values.setdefault(path, self.at)
        if self.peek("{"):
            self.members("{", "}", path)
        elif self.peek("["):
            self.members("[", "]", path)
        else:
            self.skip(STRING if self.peek('"') else _SCALAR)

    def members(self, opening: str, closing: str, path: Path) -> None:
        self.expect(opening)
        self.skip(_BLANK)
        index = 0
        while not self.peek(closing):
            if index:
                self.expect(",")
                self.skip(_BLANK)
            if opening == "{":
                self.member(path)
            else:
                self.value((*path, index))
            index += 1
            self.skip(_BLANK)
        self.expect(closing)

    def member(self, path: Path) -> None:
        start = self.at
        name = _unquote(self.skip(STRING))
        self.skip(_BLANK)
        self.expect(":")
        self.skip(_BLANK)
        self.note((*path, name), start, self.at)
        self.value((*path, name))


def scan(text: str, is_json: bool) -> Places:
    """Places of everything that could be found."""
    scanner = (_Json if is_json else _Toml)(text)
    with contextlib.suppress(LostError, RecursionError):
        scanner.document()
    return scanner.places
