"""Names and numbers in sentences: what cannot be printed is escaped, what is counted has its plural."""

from __future__ import annotations


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


def size(number: float) -> str:
    """Bytes in decimal units: `12 kB`, `3.4 MB`."""
    power = 0
    while number >= 1000 and power < 4:
        number, power = number / 1000, power + 1
    return f"{number:.{int(number < 10 and power > 0)}f} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"
