"""Weights that were trained elsewhere, held against what is known of them. Loads no torch.

Where a weights file declares a SHA-256, that is the file. Else the first read decides: it is remembered in the store under the
published name and its origin, and in the results of Steps, and another file under that name is a fault. Files that did not
change their size or time meanwhile are not read again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from simclr_spec.core.errors import MissingDataError, WeightsError
from simclr_spec.core.files import read_json, write_json
from simclr_spec.core.words import shown
from simclr_spec.data import weights as files
from simclr_spec.plan import Step
from simclr_spec.stages.imports import WeightsConfig
from simclr_spec.stages.kinds import KINDS
from simclr_spec.store.layout import RunFolder, Store

SHA256 = "weights_sha256"
"""Key of result.json."""
_FRESH_NS = 2 * 10**9
"""A file that changed so lately is read again: within its clock's tick it could change and keep its time."""
_TOLD = re.compile(r"-([0-9a-f]{8,64})\.pth$")
"""What torchvision's and timm's names tell of a file: how its SHA-256 begins."""


def look_ahead(steps: Iterable[Step], starts: Iterable[Step], store: Store, *, keep: bool) -> tuple[list[str], list[str]]:
    """Faults of the files that these Steps will read, and of those that done Steps from which they start have read.

    First what is wrong with files, then which are missing; of done Steps none is missed. `keep` remembers what was read."""
    faults: list[str] = []
    missing: list[str] = []
    for step, done in [*((step, False) for step in steps), *((step, True) for step in starts)]:
        if not KINDS[step.kind].from_file:
            continue
        try:
            identified(step.config.weights, store, store.folder(step.id), keep=keep)
        except MissingDataError as error:
            missing += [] if done else [str(error)]
        except WeightsError as error:
            faults.append(str(error))
    return faults, missing


def identified(config: WeightsConfig, store: Store, folder: RunFolder, *, keep: bool) -> tuple[Path, str]:
    """Where the file is, and its SHA-256: the declared one, or that of the first read, where there was one.

    `folder`: of the Step that reads it; `keep` remembers the digest of what lies there now. Raises MissingDataError,
    WeightsError."""
    path = files.place(config.file, config.origin)
    memory = store.weights_of(config.file, config.origin)
    known, parts = read_json(memory) or {}, files.parts(path)
    now = list(map(_facts, parts))
    sha = known["sha256"] if known.get("parts") == now else files.sha256(parts)
    first = (read_json(folder.result) or {}).get(SHA256) or known.get("first")
    for wrong in _others(path, sha, config, first):
        raise WeightsError(wrong)
    if keep:
        _remember(store, memory, {"file": config.file, "origin": config.origin, **known, "sha256": sha, "parts": now})
    return path, sha


def decide(config: WeightsConfig, store: Store, sha: str) -> None:
    """From now on the name means this file, which was read and is a network; one that is damaged may be fetched again."""
    memory = store.weights_of(config.file, config.origin)
    if not config.sha256 and (known := read_json(memory)):
        _remember(store, memory, {**known, "first": sha})


def _others(path: Path, sha: str, config: WeightsConfig, first: str | None) -> Iterator[str]:
    """What tells that it is another file than the wanted one."""
    told = _TOLD.search(config.file) if config.layout == "torchvision" else None
    begins = f"{shown(path)} is not the file '{shown(config.file)}': its SHA-256 is {sha}"
    again = f"fetch it again from {shown(config.origin)}"
    if config.sha256:
        if sha != config.sha256:
            yield f"{begins}, declared is {config.sha256}; {again}, or correct sha256 in the weights file"
        return
    if told and not sha.startswith(told[1]):
        yield f"{begins}, and by its name it begins with {told[1]}; {again}"
    if first and sha != first:
        other = f'put that one back, or declare sha256 = "{sha}" in the weights file'
        yield f"{begins}, that of the first read was {first}; {other}"


def _facts(path: Path) -> list[Any]:
    """What tells the file as it is now, but for one that may change within its clock's tick."""
    found = path.stat()
    fresh = time.time_ns() - found.st_mtime_ns < _FRESH_NS
    return [str(path), found.st_size, found.st_mtime_ns, found.st_ino, *([time.time_ns()] if fresh else [])]


def _remember(store: Store, memory: Path, value: dict[str, Any]) -> None:
    """Where the store cannot be written to, the next look reads again."""
    with suppress(OSError):
        if value != read_json(memory):
            store.make()
            memory.parent.mkdir(exist_ok=True)
            write_json(memory, value)
