"""The one printer of what a person reads: names, values, numbers.

A value has five forms, each for its reader: `typed` back as a selector, `plain` in a sentence, `written` in a file, `quoted`
from a file that is at fault, and short in a `footnote`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_QUOTED = 60
_FOOTNOTE = 16
"""Characters to a value; of longer text the first are shown."""


def shown(name: object) -> str:
    """A name or path on one line of a terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(name))


def alike(name: str) -> str:
    """The same for names that look the same to a person, or nearly so: in any case, and any encoding of accents."""
    return composed(name).casefold()


def composed(name: str) -> str:
    """An accent and its letter as one character."""
    import unicodedata

    return unicodedata.normalize("NFC", name)


def plural(noun: str) -> str:
    return f"{noun}{'es' if noun.endswith('s') else 's'}"


def counted(number: int, noun: str) -> str:
    """`1 Step`, `1,437 images`."""
    return f"{number:,} {noun if number == 1 else plural(noun)}"


def either(choices: Iterable[str]) -> str:
    """`a`, `a or b`, `a, b or c`; each once."""
    *most, last = dict.fromkeys(choices)
    return f"{', '.join(most)} or {last}" if most else last


def one(noun: str) -> str:
    """`a finetune`, `an import`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def size(number: float) -> str:
    """Bytes in decimal units: `12 kB`, `3.4 MB`."""
    power = 0
    while number >= 1000 and power < 4:
        number, power = number / 1000, power + 1
    return f"{number:.{int(number < 10 and power > 0)}f} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"


def typed(value: Any) -> str:
    """As a selector takes it back, and as specs write it: `true`, `1.0`, `50,101`."""
    if isinstance(value, (list, tuple)):
        return ",".join(map(typed, value))
    return plain(value) if value is None or isinstance(value, bool) else str(value)


def plain(value: Any) -> str:
    """In a sentence: `none` (empty text, too), `true`, `0.3`, `800` for 800.0, text without quotes."""
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    return number(value) if isinstance(value, float) and value == float(f"{value:g}") else str(value)


def written(value: Any) -> str:
    """As a file of the language would say it: like `plain`, with text in quotes."""
    return repr(value) if isinstance(value, str) else plain(value)


def quoted(value: Any) -> str:
    """What a document holds, in the sentence that refuses it: as it stands there, cut where it is long."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return plain(value)
    if isinstance(value, (str, int, float)):
        text = repr(value)
        return text if len(text) <= _QUOTED else f"{text[:56]}...{text[0] if isinstance(value, str) else ''}"
    return f"the {'time' if type(value).__name__ == 'time' else 'date'} {value}"


def footnote(value: Any) -> str:
    """Short, below a table: `on`, `0.4286`, `20,000`, digests cut."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return number(value, 4)
    if isinstance(value, int):
        return f"{value:,}" if value >= 10_000 else str(value)
    text = plain(value)
    return text if len(text) <= _FOOTNOTE else f"{text[:8]}…"


def number(value: float, digits: int = 6) -> str:
    """So many digits that matter, and whole from there on: `0.01`, `66.8`, `12,345`."""
    return f"{value:,.0f}" if 10**digits <= abs(value) < 1e15 else f"{value:.{digits}g}"


def amount(value: float) -> str:
    """Of hours and the like, in columns, where zeros at the end stay: `4,299`, `66.8`, `0.50`; `0` is none at all."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def fixed(value: float, places: int, sign: bool = False) -> str:
    """So many places after the point: `61.2`, `+0.3`, `12,345`."""
    return f"{value:{'+' * sign},.{places}f}"


def percent(share: float) -> str:
    """`42%`"""
    return f"{share:.0%}"


def duration(seconds: float) -> str:
    """`8 s`, `3 min 05 s`, `2 h 40 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def span(minutes: int) -> str:
    """`10 min`, `24 h`, `1 h 30 min`: of a limit that is whole minutes."""
    hours, left = divmod(minutes, 60)
    return " ".join([f"{hours} h"] * bool(hours) + [f"{left} min"] * bool(left))


def scientific(value: float) -> str:
    """`3.2e+18`: of FLOPs, which have no better unit."""
    return f"{value:.3g}"
