"""The one done Step that a person means by one word, for commands that use what was trained."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import split

from simclr_spec.core.errors import UsageError
from simclr_spec.core.files import read_json
from simclr_spec.core.states import FINISHED
from simclr_spec.core.words import counted, shown
from simclr_spec.data.listing import listed
from simclr_spec.language.coordinates import parse
from simclr_spec.language.declared import is_path, names
from simclr_spec.store.history import last_plan
from simclr_spec.store.layout import RunFolder, Store
from simclr_spec.store.selection import entries

WEIGHTS = ".safetensors"
_HOW = (
    "name a run folder, the first letters (4 or more) of a fingerprint, an exported .safetensors file, or in quotes a spec and "
    "coordinates: 'quickstart stage=finetune seed=0'"
)


def trained(word: str, store: Store) -> Path:
    """`word`: a run folder, by its path or id; letters of its fingerprint; a file of weights; or a spec and coordinates.

    Returns the run folder, or an exported file as it is. Raises UsageError where it is none, several or not done."""
    if word.endswith(WEIGHTS):
        if not (file := Path(word)).is_file():
            raise UsageError(f"there is no file {shown(file.absolute())}: {_HOW}")
        return _done([around], word) if (around := RunFolder.around(file)) else file
    for folder in (RunFolder(Path(word).resolve()), store.folder(word)):
        if folder.step.exists():
            return _done([folder], word)
    if re.fullmatch("[0-9a-f]{4,64}", word):
        return _done([*_by_fingerprint(word, store)], word)
    return _done(_selected(word, store), word)


def _by_fingerprint(letters: str, store: Store) -> Iterator[RunFolder]:
    for folder in store.folders():
        if folder.path.name.rpartition("-")[2].startswith(letters[:8]):
            step = read_json(folder.step, "fingerprint")
            if step and step["fingerprint"].startswith(letters):
                yield folder


def _selected(word: str, store: Store) -> list[RunFolder]:
    """Of the spec's plan that was run last; without a spec, of the whole store."""
    try:
        words = split(word)
    except ValueError:
        words = []
    specs = [part for part in words if "=" not in part or is_path(part)]
    if not words or len(specs) > 1 or any(not is_path(spec) and spec not in names("spec") for spec in specs):
        raise UsageError(f"no Step is called {shown(word)!r}: {_HOW}")
    plan = last_plan(store, specs[0]) if specs else None
    scale, sets = (plan.scale, plan.sets) if plan else (None, ())
    selector = parse([part for part in words if part not in specs])
    found = entries(store, specs, selector, scale, sets)
    return [entry.folder for entry in found if entry.state in FINISHED] or [entry.folder for entry in found]


def _done(found: Sequence[RunFolder], word: str) -> Path:
    """The only one."""
    if not found:
        raise UsageError(f"no Step of this store is called {shown(word)!r}: {_HOW}")
    ids = [f"{folder.path.parent.name}/{folder.path.name}" for folder in found]
    if not any(folder.done for folder in found):
        raise UsageError(f"{shown(word)!r} is {listed(ids)}, not done yet: `simclr-spec run` trains what a spec asks for")
    if len(found) > 1:
        raise UsageError(
            f"{shown(word)!r} is {counted(len(found), 'done Step')}: {listed(ids)}. Say more, as in stage=finetune seed=0"
        )
    return found[0].path
