"""Where data sets lie, and whether they are there: asked before anything starts, so nothing here loads torch.

A root is a folder, or NAME=FOLDER for one data set only: `--data-root`, else the environment variable SIMCLR_SPEC_DATA
(separated as PATH is, or by line ends), else ./data.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from simclr_spec.core.environment import environment
from simclr_spec.core.errors import MissingDataError

ENVIRONMENT = "SIMCLR_SPEC_DATA"
HINT = f"say where it is with --data-root or {ENVIRONMENT}"
LISTS = "imagenet_subsets"
"""Folder of the published label lists under a root."""


def data_roots(given: Sequence[str] = ()) -> list[str]:
    """What was given, else what the environment says, else ./data."""
    return configured(given) or ["data"]


def configured(given: Sequence[str] = ()) -> list[str]:
    """What was given, else what the environment says."""
    text = os.environ.get(ENVIRONMENT, "")
    return list(given) or [root for root in text.split("\n" if "\n" in text else os.pathsep) if root]


def as_environment(roots: Sequence[str]) -> dict[str, str]:
    """The variable that says the same; none without roots."""
    return {ENVIRONMENT: "".join(f"{root}\n" for root in roots)} if roots else {}


def in_environment(roots: Sequence[str]) -> AbstractContextManager[None]:
    """Meanwhile the environment says so, where any are given: compiling a spec asks it, wherever it is compiled."""
    return environment(as_environment(roots))


def absolute(root: str) -> str:
    """The same root from any working directory."""
    name, folder = owner_and_folder(root)
    return (f"{name}=" if name else "") + os.path.abspath(os.path.expanduser(folder))


def folders(name: str, roots: Sequence[str]) -> list[Path]:
    """Folders in which data set `name` may lie: each root, and its subfolder of that name."""
    bases = [Path(os.path.expanduser(folder)) for owner, folder in map(owner_and_folder, roots) if owner in (None, name)]
    return [folder for base in bases for folder in (base / name, base)]


def list_folders(roots: Sequence[str]) -> list[Path]:
    """Folders in which label lists may lie: of every root, whichever data set it is for, since a digest names the list."""
    return folders(LISTS, [folder for _, folder in map(owner_and_folder, roots)])


def owner_and_folder(root: str) -> tuple[str | None, str]:
    """NAME=FOLDER -> NAME, FOLDER; for all data sets, NAME is None."""
    name, folder = re.fullmatch(r"(?:([\w.-]+)=)?(.*)", root, re.DOTALL).groups()  # type: ignore[union-attr]
    return name, folder


def others(name: str, roots: Sequence[str]) -> str:
    """Which data sets the roots are for that are not for this one: its name may be misspelt, or a folder's name hold a `=`."""
    owners = [f"'{owner}'" for owner, _ in map(owner_and_folder, roots) if owner not in (None, name)]
    return f"NAME=DIR was given for {', '.join(dict.fromkeys(owners))}; " if owners else ""


def label_list(digest: str, roots: Sequence[str]) -> Path:
    """The list of labelled images with this SHA-256: NAME.txt under a root or in its folder imagenet_subsets."""
    places = list_folders(roots)
    files = [path for place in places for path in sorted(place.glob("*.txt"))]
    found = next((path for path in files if _sha256(path) == digest), None)
    if found is None:
        among = f" among {', '.join(path.name for path in files[:5])}" if files else ""
        looked = ", ".join(str(place.absolute()) for place in places)
        raise MissingDataError(
            f"the label list of SHA-256 {digest[:12]}… not found{among} (looked for *.txt in {looked}): "
            f"`simclr-spec fetch-lists` gets published ones, or {HINT}"
        )
    return found


def _sha256(path: Path) -> str:
    """Of a file's bytes; nothing of what cannot be read, which may be anybody's, or of a pipe, which would be waited for."""
    from hashlib import sha256

    try:
        return sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    except OSError:
        return ""


def missing(what: str, places: Sequence[Path], near: str = "") -> MissingDataError:
    looked = ", ".join(dict.fromkeys(str(place.absolute()) for place in places)) or "no root for this data set"
    return MissingDataError(f"{what} not found (looked in {looked}): {near}{HINT}")
