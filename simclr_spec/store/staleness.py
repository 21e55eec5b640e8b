"""Done Steps that saw other images than lie there today: `stale`. Such a Step is shown, never overwritten, never run again.

A Step whose data set declares a digest is never stale: other images are another Step. Where a result has no digest (of before
there were any), or the images are not here, nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import Any

from simclr_spec.core.errors import DataError
from simclr_spec.core.files import read_json
from simclr_spec.core.states import State
from simclr_spec.data import digests
from simclr_spec.data.registry import LOADERS, undeclared
from simclr_spec.plan import Step
from simclr_spec.store.history import where
from simclr_spec.store.layout import RunFolder, Store

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
        self._looked: dict[tuple[str, str, bool], tuple[Path, str] | None] = {}

    def marked(
        self, states: Mapping[str, State], steps: Iterable[tuple[str, Iterable[str], Mapping[str, Any], RunFolder]]
    ) -> dict[str, State]:
        """The states, `stale` for `done` where it is so; `steps`: (fingerprint, parents, data set, folder), parents first."""
        found = dict(states)
        for fingerprint, parents, dataset, folder in steps:
            if found[fingerprint] == "done" and (
                any(found.get(parent) == "stale" for parent in parents) or self._changed(dataset, folder)
            ):
                found[fingerprint] = "stale"
        return found

    def marked_steps(self, states: Mapping[str, State], steps: Iterable[Step]) -> dict[str, State]:
        facts = ((s.fingerprint, s.needs.values(), s.params["dataset"], self.store.folder(s.id)) for s in steps)
        return self.marked(states, facts)

    def _changed(self, dataset: Mapping[str, Any], folder: RunFolder) -> bool:
        """Whether a done Step recorded other images."""
        if not undeclared(dataset["loader"], dataset["digest"]):
            return False
        seen = (read_json(folder.result) or {}).get("data_digest")
        today = self._today(dataset) if seen else None
        return today is not None and today[1] != seen

    def verify(self, datasets: Iterable[Mapping[str, Any]], *, declared: bool = False) -> None:
        """Look at all image folders among these, so that no worker has to, or at those that declare a digest alone.

        Raises DataError for one that is not the declared one."""
        for dataset in datasets:
            if not LOADERS[dataset["loader"]].needs_digest or (declared and not dataset["digest"]):
                continue
            today = self._today(dataset)
            if today and dataset["digest"] and today[1] != dataset["digest"]:
                raise digests.wrong(dataset["name"], today[1], dataset["digest"])

    def missing(self, steps: Iterable[Step]) -> list[Mapping[str, Any]]:
        """Data sets of these Steps that lie nowhere where they were looked for."""
        datasets = {_key(dataset): dataset for dataset in (step.params["dataset"] for step in steps)}
        return [dataset for key, dataset in datasets.items() if not self._is_there(*key)]

    def _is_there(self, loader: str, name: str, labelled: bool) -> bool:
        with suppress(DataError):
            LOADERS[loader].find(name, where(self.store, self.specs, self.roots), labelled=labelled)
            return True
        return False

    def named(self, steps: Iterable[Step]) -> str:
        """`the images of 'mine' in /data/mine`, for a person."""
        keys = dict.fromkeys(_key(step.params["dataset"]) for step in steps)
        places = (f"'{key[1]}'" + (f" in {f[0].absolute()}" if (f := self._looked.get(key)) else "") for key in keys)
        return "the images of " + ", ".join(dict.fromkeys(places))

    def _today(self, dataset: Mapping[str, Any]) -> tuple[Path, str] | None:
        if (key := _key(dataset)) not in self._looked:
            self._looked[key] = self._look(*key)
        return self._looked[key]

    def _look(self, loader: str, name: str, labelled: bool) -> tuple[Path, str] | None:
        """The folder and its digest, where it is there and may be looked at."""
        try:
            folder = LOADERS[loader].find(name, where(self.store, self.specs, self.roots), labelled=labelled)
        except DataError:
            return None
        assert folder is not None
        cache = self.store.hashes_of(folder, labelled=labelled)
        if self.thorough:
            return folder, LOADERS[loader].today(folder, cache, labelled=labelled, rehash=self.rehash, tell=self.tell)
        last = digests.last_look(cache)
        if last is None or last.files > MOST_FILES:
            return (folder, last.digest) if last else None
        with suppress(DataError):  # whoever trains is told
            return folder, LOADERS[loader].today(folder, cache, labelled=labelled)
        return None


def _key(dataset: Mapping[str, Any]) -> tuple[str, str, bool]:
    """What two data sets that hold the same images agree in: one name may be a pile in one file and have classes in another."""
    return dataset["loader"], dataset["name"], dataset["classes"] is not None


def advice(steps: Iterable[Step], store: Store) -> str:
    """What a person can do about stale Steps."""
    return f"put the images back, or pin the new ones, for new Steps: {' · '.join(pins(steps, store))}"


def pins(steps: Iterable[Step], store: Store) -> list[str]:
    """The commands that pin what is there now."""
    files = {document.name for step in steps if (document := step.origins["dataset.loader"].document)}
    return [f"simclr-spec pin {quote(file)}{store.option}" for file in sorted(files)]
