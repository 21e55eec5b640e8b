"""A list of labelled images: which training images its lines name. Names alone, so nothing here loads torch.

A line is CLASS/FILE, or FILE where only one class has it. Empty lines, and lines that begin with #, say nothing.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from simclr_spec.core.errors import DataError
from simclr_spec.core.words import alike, shown
from simclr_spec.data.listing import TRAIN

_BOMS = (  # UTF-32's begins as UTF-16's does
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
MOST_FAULTS = 3
"""So many faulty lines are told at once."""


def resolve(path: Path, files: Sequence[str]) -> list[int]:
    """The sorted places of the named images among a training split's `files` (CLASS/FILE). Raises DataError, with the line."""
    names, found, faults = _Names(files), dict[int, int](), list[tuple[int, str]]()
    for number, line in _lines(path):
        name = names.known(line)
        place = names.places.get(name)
        if place is None:
            if name in names.shared or not line.lstrip().startswith("#"):
                faults.append((number, names.fault(line)))
        elif (before := found.setdefault(place, number)) != number:
            faults.append((number, f"'{shown(line.strip())}' is listed before, in line {before}; list each image once"))
        if len(faults) == MOST_FAULTS:
            break
    if faults:
        raise DataError("\n".join(f"{path}:{number}: {sentence}" for number, sentence in faults))
    _cover(path, files, found)
    return sorted(found)


def _cover(path: Path, files: Sequence[str], found: Iterable[int]) -> None:
    """A class without any labelled image could not be learned, and nothing later would say so."""
    listed = {_class(files[place]) for place in found}
    if left_out := [name for name in dict.fromkeys(map(_class, files)) if name not in listed]:
        which = f" of class '{shown(left_out[0])}'" if listed else ""
        more = f" nor of {len(left_out) - 1} more" if listed and left_out[1:] else ""
        raise DataError(f"{path}: no line names an image{which}{more}; each class needs at least one")


class _Names:
    """What the lines of a list may call the images of a split."""

    def __init__(self, files: Sequence[str]) -> None:
        self.files = files
        self.places = {file: place for place, file in enumerate(files)}
        self.shared: set[str] = set()
        """Names without a class that images of several classes have."""
        for place, file in enumerate(files):
            if self.places.setdefault(_name(file), place) != place:
                self.shared.add(_name(file))
        for name in self.shared:
            del self.places[name]

    def known(self, line: str) -> str:
        """The line as `places` or `shared` spell it: first as it stands, since a name may hold spaces or backslashes."""
        plain = line.strip()
        spellings = (line, plain, _below_train(plain), _below_train(plain.replace("\\", "/")))
        return next((name for name in spellings if name in self.places or name in self.shared), plain)

    def fault(self, line: str) -> str:
        """Why the line names no image, or not one."""
        name = self.known(line)
        if name in self.shared:
            same = [file for file in self.files if _name(file) == name]
            listed = ", ".join(shown(_class(file)) for file in same[:5]) + (", …" if same[5:] else "")
            return f"'{shown(name)}' lies in {len(same)} classes ({listed}); write CLASS/FILE, such as '{shown(same[0])}'"
        if "\0" in name or any("\ud800" <= letter <= "\udfff" for letter in name):
            return f"'{shown(name)}' is not UTF-8; save the list as UTF-8"
        key = _key(_below_train(name.replace("\\", "/")))
        near = next((file for file in self.files if key in (_key(file), _key(_name(file)))), None)
        hint = f"did you mean '{shown(near)}'?" if near else f"a line is CLASS/FILE, such as '{shown(self.files[0])}'"
        return f"'{shown(name)}' is no training image; {hint}"


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of each line that is not empty. Bytes that are not UTF-8 stay what they are in names of files."""
    data = path.read_bytes()
    encoding = next((name for bom, name in _BOMS if data.startswith(bom)), "utf-8")
    try:
        text = data.decode(encoding, "strict" if encoding in ("utf-16", "utf-32") else "surrogateescape")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: begins as {encoding.upper()} but is not ({error.reason}); save the list as UTF-8") from None
    for number, line in enumerate(re.split("\r\n|\n|\r", text), 1):
        if line.strip():
            yield number, line


def _below_train(name: str) -> str:
    """./train/CLASS/FILE and /any/where/train/CLASS/FILE -> CLASS/FILE; ./FILE -> FILE."""
    parts = [part for part in name.split("/") if part != "."]
    return "/".join(parts[-2:] if parts[-3:-2] == [TRAIN] else parts)


def _class(file: str) -> str:
    return file.partition("/")[0]


def _name(file: str) -> str:
    return file.rpartition("/")[2]


def _key(name: str) -> str:
    """Equal for names that differ in suffix, case or the form of their accents."""
    return alike(re.sub(r"\.\w+$", "", name.strip()))
