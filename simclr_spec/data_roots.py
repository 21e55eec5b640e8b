"""Where data sets lie, and whether they are there: asked before anything starts, so nothing here loads torch.

A root is a folder, or NAME=FOLDER for one data set only: `--data-root`, else the environment variable SIMCLR_SPEC_DATA
(separated as PATH is, or by line ends), else ./data.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from simclr_spec.errors import MissingDataError

ENVIRONMENT = "SIMCLR_SPEC_DATA"
HINT = f"say where it is with --data-root or {ENVIRONMENT}"
LISTS = "imagenet_subsets"
"""Folder of the published label lists under a root."""
CIFAR10_FOLDER = "cifar-10-batches-py"
CIFAR10_FILES = (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch")


def data_roots(given: Sequence[str] = ()) -> list[str]:
    """What was given, else what the environment says, else ./data."""
    return told(given) or ["data"]


def told(given: Sequence[str] = ()) -> list[str]:
    """What was given, else what the environment says."""
    text = os.environ.get(ENVIRONMENT, "")
    return list(given) or [root for root in text.split("\n" if "\n" in text else os.pathsep) if root]


def absolute(root: str) -> str:
    """The same root from any working directory."""
    name, folder = _divided(root)
    return (f"{name}=" if name else "") + os.path.abspath(os.path.expanduser(folder))


def folders(name: str, roots: Sequence[str]) -> list[Path]:
    """Folders in which data set `name` may lie: each root, and its subfolder of that name."""
    bases = [Path(folder).expanduser() for owner, folder in map(_divided, roots) if owner in (None, name)]
    return [folder for base in bases for folder in (base / name, base)]


def list_folders(roots: Sequence[str]) -> list[Path]:
    """Folders in which label lists may lie: of every root, whichever data set it is for, since a digest names the list."""
    return folders(LISTS, [folder for _, folder in map(_divided, roots)])


def _divided(root: str) -> tuple[str | None, str]:
    """NAME=FOLDER -> NAME, FOLDER."""
    name, folder = re.fullmatch(r"(?:([\w.-]+)=)?(.*)", root, re.DOTALL).groups()  # type: ignore[union-attr]
    return name, folder


def find(loader: str, name: str, roots: Sequence[str]) -> Path | None:
    """The folder that a loader reads; None for a loader that needs none. Raises DataError where it is not, or not whole."""
    if loader == "digits":
        return None
    places = folders(name, roots)
    if loader == "cifar10":
        found = next((place / CIFAR10_FOLDER for place in places if (place / CIFAR10_FOLDER).is_dir()), None)
        if found is None:
            raise missing(f"data set '{name}' (folder {CIFAR10_FOLDER})", places)
        for file in CIFAR10_FILES:
            if not (found / file).is_file():
                raise MissingDataError(f"{found / file} is missing: {HINT}")
        return found
    found = next((place for place in places if (place / "train").is_dir() and (place / "val").is_dir()), None)
    if found is None:
        raise missing(f"data set '{name}' (folders train and val, one subfolder a class)", places)
    return found


def label_list(digest: str, roots: Sequence[str]) -> Path:
    """The published list of labelled images with this SHA-256: NAME.txt under a root or in its folder imagenet_subsets."""
    places = list_folders(roots)
    files = [path for place in places for path in sorted(place.glob("*.txt"))]
    found = next((path for path in files if _sha256(path) == digest), None)
    if found is None:
        others = f" among {', '.join(path.name for path in files[:5])}" if files else ""
        looked = ", ".join(str(place.absolute()) for place in places)
        raise MissingDataError(
            f"the published label list of SHA-256 {digest[:12]}… not found{others} (looked in {looked}): "
            f"`simclr-spec fetch-lists` gets it, or {HINT}"
        )
    return found


def _sha256(path: Path) -> str:
    """Of a file's bytes; nothing of what cannot be read, which may be anybody's."""
    from hashlib import sha256

    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def missing(what: str, places: Sequence[Path]) -> MissingDataError:
    looked = ", ".join(str(place.absolute()) for place in places) or "no root for this data set"
    return MissingDataError(f"{what} not found (looked in {looked}): {HINT}")


def check(steps: Iterable[Mapping[str, Any]], roots: Sequence[str] = ()) -> None:
    """Raises DataError for the first data set or label list, of Steps' parameters, that is not there."""
    wanted = [(step["dataset"]["name"], step["dataset"]["loader"], _list_digest(step)) for step in steps]
    for name, loader in dict.fromkeys((name, loader) for name, loader, _ in wanted):
        find(loader, name, data_roots(roots))
    for digest in dict.fromkeys(digest for _, _, digest in wanted if digest):
        label_list(digest, data_roots(roots))


def _list_digest(step: Mapping[str, Any]) -> str:
    """Of the list that the Step reads, or empty. A distillation by Eq. 2 on all images reads none."""
    labels = step.get("labels", {})
    unread = step.get("alpha") == 1 and step.get("images") == "all"
    return "" if unread or labels.get("sampler") != "list" else str(labels["list_digest"])
