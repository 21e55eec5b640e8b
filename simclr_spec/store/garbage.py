"""What nothing in a store needs any more: `gc` shows it, and deletes it when told to."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simclr_spec.core.errors import SpecError, UsageError
from simclr_spec.core.files import read_json
from simclr_spec.language import declared
from simclr_spec.plan import compile
from simclr_spec.store.history import all_plans, located
from simclr_spec.store.layout import RunFolder, Store
from simclr_spec.store.selection import Entry


@dataclass(frozen=True)
class Waste:
    """What nothing needs any more, in a run folder or the whole of it."""

    folder: RunFolder
    path: Path
    why: str
    size: int


def waste_of(store: Store) -> list[Waste]:
    """Run folders that no recorded plan, as its spec stands now, and no declared spec needs; other attempts; old arrays."""
    needed = _needed(store)
    found = []
    asked_for: set[str] = set()
    for folder in store.folders():
        if not folder.done and (queued := folder.queued_as()):
            asked_for.add(queued.array)
        step = read_json(folder.step, "fingerprint")
        if step is None or not _idle(folder):
            continue
        if step["fingerprint"] not in needed:
            found.append(Waste(folder, folder.path, "in no spec as it stands now", _size(folder.path)))
        elif folder.done:
            winner = folder.weights.parent
            found += [Waste(folder, a.path, "did not win", _size(a.path)) for a in folder.attempts() if a.path != winner]
    ended = [array.path for array in store.closed_arrays() if array.name not in asked_for]
    return found + [Waste(RunFolder(path), path, "its jobs have ended", _size(path)) for path in ended]


def _idle(folder: RunFolder) -> bool:
    """Nobody works on it, nor will soon."""
    return folder.is_free() and folder.state() != "queued"


def unneeded(store: Store, entries: Sequence[Entry]) -> list[Entry]:
    """Those at work or queued that no spec of `waste_of` needs as it stands now; none where one cannot be read."""
    left = {entry.fingerprint: entry for entry in entries if entry.state in ("queued", "running")}
    plans = _plans(store)
    while left:
        try:
            needed = next(plans, None)
        except UsageError:
            return []
        if needed is None:
            break
        left = {fingerprint: entry for fingerprint, entry in left.items() if fingerprint not in needed}
    return list(left.values())


def _needed(store: Store) -> set[str]:
    """Fingerprints of every recorded plan and every declared spec. Raises UsageError where one cannot be compiled any more."""
    return set().union(*_plans(store))


def _plans(store: Store) -> Iterator[set[str]]:
    """The newest recorded first."""
    plans: list[tuple[tuple[str, ...], str | None, tuple[str, ...]]]
    plans = [(plan.specs, plan.scale, plan.sets) for plan in all_plans(store)]
    plans += [((name,), None, ()) for name in declared.names("spec")]
    for specs, scale, sets in dict.fromkeys(plans):
        try:
            with located(store, specs):
                yield set(compile(specs, scale=scale, sets=sets).by_fingerprint)
        except (SpecError, UsageError) as error:
            what = f"{' '.join(specs)} was run in {store.path}, but cannot be read now"
            why = f"{str(error).splitlines()[0]}{_forgotten(store, (specs, scale, sets))}"
            raise UsageError(f"{what}, so nothing is deleted: {why}") from None


def _forgotten(store: Store, arguments: tuple[Any, ...]) -> str:
    """Which lines to delete, so that the store forgets a plan."""
    plans = enumerate(reversed(all_plans(store)), 1)
    lines = ", ".join(str(line) for line, plan in plans if (plan.specs, plan.scale, plan.sets) == arguments)
    return f". Bring it back; or, if its runs may go, delete line {lines} of {store.all_plans}" if lines else ""


def _size(path: Path) -> int:
    return 0 if path.is_symlink() else sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())


def delete(found: Iterable[Waste]) -> list[Waste]:
    """What was deleted: all but what a process has taken up since. Of a folder that is a symbolic link, the link."""
    deleted = []
    for unneeded in found:
        if _idle(unneeded.folder):
            unneeded.path.unlink() if unneeded.path.is_symlink() else shutil.rmtree(unneeded.path)
            deleted.append(unneeded)
    return deleted
