"""Done Steps that saw other images than lie there today: `stale`. Such a Step is shown, never overwritten, never run again.

A Step whose data set declares a digest is never stale: other images are another Step. Where a result has no digest (of before
there were any), the images are not here, or its kind is not known here, nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import Any

from simclr_spec.core.errors import DataError
from simclr_spec.core.files import read_json
from simclr_spec.core.states import State
from simclr_spec.data import digests
from simclr_spec.data.registry import LOADERS, undeclared
from simclr_spec.data.splits import Splits
from simclr_spec.plan import Step
from simclr_spec.stages.kinds import KINDS
from simclr_spec.store.history import where
from simclr_spec.store.layout import RunFolder, Store

_Key = tuple[str, str, Splits]
"""Loader and name of a data set, and what of it is looked at."""
MOST_FILES = 50_000
"""Of a folder at which plan, status and report look themselves; of a larger one they believe the last look."""


class Images:
    """Where the images of a store's Steps lie, and what they are; each folder is looked at once, when it is first asked for.

    `thorough` for who is about to train: every folder is looked at. Else only such as have been looked at before.
    """

    def __init__(
        self,
        store: Store,
        specs: Sequence[str] = (),
        roots: Sequence[str] = (),
        *,
        thorough: bool = False,
        rehash: bool = False,
        tell: digests.Tell | None = None,
    ) -> None:
        self.store, self.specs, self.roots = store, specs, roots
        self.thorough, self.rehash, self.tell = thorough, rehash, tell
        self._looked: dict[_Key, tuple[Path, str] | None] = {}

    def marked(
        self, states: Mapping[str, State], steps: Iterable[tuple[str, str, Iterable[str], Mapping[str, Any], RunFolder]]
    ) -> dict[str, State]:
        """The states, `stale` for `done` where it is so.

        `steps`: (fingerprint, kind, parents, data set, folder), parents first."""
        found = dict(states)
        for fingerprint, kind, parents, dataset, folder in steps:
            if found[fingerprint] == "done" and (
                any(found.get(parent) == "stale" for parent in parents) or self._changed(kind, dataset, folder)
            ):
                found[fingerprint] = "stale"
        return found

    def marked_steps(self, states: Mapping[str, State], steps: Iterable[Step]) -> dict[str, State]:
        facts = ((s.fingerprint, s.kind, s.needs.values(), s.params["dataset"], self.store.folder(s.id)) for s in steps)
        return self.marked(states, facts)

    def _changed(self, kind: str, dataset: Mapping[str, Any], folder: RunFolder) -> bool:
        """Whether a done Step recorded other images."""
        if kind not in KINDS or not undeclared(dataset["loader"], dataset["digest"]):
            return False
        seen = (read_json(folder.result) or {}).get("data_digest")
        today = self._today(_key(kind, dataset)) if seen else None
        return today is not None and today[1] != seen

    def verify(self, steps: Iterable[Step], *, declared: bool = False) -> None:
        """Look at all image folders of these Steps, so that no worker has to, or at those that declare a digest alone.

        Raises DataError for one that is not the declared one."""
        for dataset, key in _read(steps):
            if not LOADERS[dataset["loader"]].needs_digest or (declared and not dataset["digest"]):
                continue
            today = self._today(key)
            if today and dataset["digest"] and today[1] != dataset["digest"]:
                raise digests.wrong(dataset["name"], today[1], dataset["digest"])

    def missing(self, steps: Iterable[Step]) -> list[Mapping[str, Any]]:
        """Data sets of these Steps that lie nowhere where they were looked for."""
        datasets = {key: dataset for dataset, key in _read(steps)}
        return [dataset for key, dataset in datasets.items() if not self._is_there(*key)]

    def _is_there(self, loader: str, name: str, splits: Splits) -> bool:
        with suppress(DataError):
            LOADERS[loader].find(name, where(self.store, self.specs, self.roots), splits=splits)
            return True
        return False

    def named(self, steps: Iterable[Step]) -> str:
        """`the images of 'mine' in /data/mine`, for a person."""
        keys = dict.fromkeys(key for _, key in _read(steps))
        places = (f"'{key[1]}'" + (f" in {f[0].absolute()}" if (f := self._looked.get(key)) else "") for key in keys)
        return "the images of " + ", ".join(dict.fromkeys(places))

    def _today(self, key: _Key) -> tuple[Path, str] | None:
        if key not in self._looked:
            self._looked[key] = self._look(*key)
        return self._looked[key]

    def _look(self, loader: str, name: str, splits: Splits) -> tuple[Path, str] | None:
        """The folder and its digest, where it is there and may be looked at."""
        try:
            folder = LOADERS[loader].find(name, where(self.store, self.specs, self.roots), splits=splits)
        except DataError:
            return None
        assert folder is not None
        cache = self.store.hashes_of(folder, splits)
        if self.thorough:
            return folder, LOADERS[loader].today(folder, cache, splits=splits, rehash=self.rehash, tell=self.tell)
        last = digests.last_look(cache)
        if last is None or last.files > MOST_FILES:
            return (folder, last.digest) if last else None
        with suppress(DataError):  # whoever trains is told
            return folder, LOADERS[loader].today(folder, cache, splits=splits)
        return None


def _key(kind: str, dataset: Mapping[str, Any]) -> _Key:
    """What Steps that look at the same images agree in: one name may be a pile in one file and have classes in another."""
    return dataset["loader"], dataset["name"], KINDS[kind].splits(dataset)


def _read(steps: Iterable[Step]) -> Iterator[tuple[Mapping[str, Any], _Key]]:
    """Data set and key of each Step that looks at images."""
    for step in steps:
        key = _key(step.kind, dataset := step.params["dataset"])
        if key[-1]:
            yield dataset, key


def advice(steps: Iterable[Step], store: Store) -> str:
    """What a person can do about stale Steps."""
    return f"put the images back, or pin the new ones, for new Steps: {' · '.join(pins(steps, store))}"


def pins(steps: Iterable[Step], store: Store) -> list[str]:
    """The commands that pin what is there now."""
    files = {document.name for step in steps if (document := step.origins["dataset.loader"].document)}
    return [f"simclr-spec pin {quote(file)}{store.option}" for file in sorted(files)]
