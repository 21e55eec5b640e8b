"""Where the declared files live: beside the package in a checkout, inside it in a wheel.

An argument that ends in .toml or .json is a path; otherwise it is a declared name, `quickstart` or `simclrv2`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from simclr_spec.core.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

FileKind = Literal["spec", "recipe", "dataset", "scale", "runner", "machine", "report", "weights"]

FOLDERS: dict[FileKind, str] = {
    "spec": "specs",
    "recipe": "specs/recipes",
    "dataset": "specs/datasets",
    "scale": "specs/scales",
    "runner": "runners",
    "machine": "runners/machines",
    "report": "reports",
    "weights": "specs/weights",
}
_TITLES: dict[FileKind, str] = {"dataset": "data set", "weights": "weights file"}
JSON = ".json"
SUFFIXES = (".toml", JSON)
LARGEST = 1_000_000
"""Bytes of the largest file that is read."""


@dataclass(frozen=True)
class File:
    """A declared file or a user's; `shown` stands in messages, relative references start in `folder`."""

    name: str
    shown: str
    text: str
    folder: Path | None = None


@cache
def _root() -> Traversable:
    package: Traversable = Path(__file__).parents[1]
    if not package.is_dir():  # a zipped wheel; importlib.resources costs too much for everyone else
        from importlib.resources import files

        package = files("simclr_spec")
    wheel = package / "_declared"
    return wheel if wheel.is_dir() else Path(str(package)).parent


def _entries(kind: FileKind) -> dict[str, Traversable]:
    folder = _root()
    for part in FOLDERS[kind].split("/"):
        folder = folder / part
    if not folder.is_dir():
        return {}
    return {
        entry.name.rsplit(".", 1)[0]: entry
        for entry in sorted(folder.iterdir(), key=lambda e: e.name)
        if entry.name.endswith(SUFFIXES)
    }


def names(kind: FileKind) -> list[str]:
    """Names of the declared files of one kind, sorted."""
    return sorted(_entries(kind))


def is_path(name: str) -> bool:
    return name.endswith(SUFFIXES)


def is_json(name: str) -> bool:
    return name.endswith(JSON)


def absolute(name: str, folder: Path | None = None) -> str:
    """The same file from any working directory, as named from `folder` (None = this one); a declared name stays."""
    return os.path.abspath((folder or Path()) / name) if is_path(name) else name


_REMEDY: dict[FileKind, str] = {
    "spec": "`simclr-spec run {}` runs it",
    "report": "`simclr-spec report {0}` prints it, `--cell {0}` plans it",
    "scale": "`--scale {}` uses it",
    "runner": "`simclr-spec run SPEC --runner {}` uses it",
    "machine": "`simclr-spec plan SPEC --machine {}` estimates costs for it",
    "recipe": 'a spec names it, as in recipe = "{}"',
    "dataset": 'a spec names it, as in dataset = "{}"',
    "weights": "`--weights {}` starts from them",
}
"""What a file of each kind is for; of a name that two kinds have, the first kind is meant."""


def another_kind(name: str, found: FileKind, wanted: FileKind) -> str:
    """The sentence for a file of the kind `found` where one of the kind `wanted` belongs."""
    from shlex import quote

    title = _TITLES.get(wanted, wanted)
    remedy = _REMEDY[found].format(quote(name))
    return f"{name} is a {_TITLES.get(found, found)}, not a {title}: {remedy}; declared {title}s are {', '.join(names(wanted))}"


def unknown(kind: FileKind, name: str) -> str:
    """The sentence for a name that no declared file has, or one of another kind."""
    if other := next((other for other in _REMEDY if name in _entries(other)), None):
        return another_kind(name, other, kind)
    known = names(kind)
    hint = did_you_mean(name, known) or (f"; declared are {', '.join(known)}" if known else "")
    own = "" if hint.endswith("?") else f"; a file of yours ends in {' or '.join(SUFFIXES)}"
    return f"no {'weights file' if kind == 'weights' else kind} is named {name!r}{hint}{own}"


def read(kind: FileKind, name: str, folder: Path | None = None) -> File:
    """The declared file `name`, or the file at the path `name` (relative to `folder`, else to the working directory)."""
    if is_path(name):
        return _read_path(kind, Path(name) if folder is None else folder / name)
    entry = _entries(kind).get(name)
    if entry is None:
        raise UsageError(unknown(kind, name))
    return File(name, f"{FOLDERS[kind]}/{entry.name}", entry.read_text(encoding="utf-8"))


def _read_path(kind: FileKind, path: Path) -> File:
    if path.is_fifo():
        raise UsageError(f"cannot read the {kind} {str(path)!r}: it is a pipe")
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"cannot read the {kind} {str(path)!r}: {reason}") from None
    if len(data) > LARGEST:
        raise UsageError(f"{path}: a {kind} of more than {LARGEST:,} bytes is not read")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 text (byte {error.start})") from None
    return File(str(path), str(path), text, path.parent)
