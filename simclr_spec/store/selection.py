"""Run folders that a person names on the command line: by specs, by selectors, or both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import Any

from simclr_spec.core.errors import UsageError
from simclr_spec.core.files import read_json
from simclr_spec.core.states import FINISHED, State
from simclr_spec.language.coordinates import Selector, as_selector, matches, near_miss
from simclr_spec.plan import compile
from simclr_spec.plan.step import reached
from simclr_spec.store.history import located
from simclr_spec.store.layout import RunFolder, Store
from simclr_spec.store.reasons import Folders
from simclr_spec.store.staleness import Images


@dataclass(frozen=True, eq=False, kw_only=True)
class Entry:
    """A Step of a plan or of the store, with its state now."""

    fingerprint: str
    kind: str
    label: str
    folder: RunFolder
    coordinates: Sequence[Mapping[str, Any]]
    """under every name it has"""
    needs: Sequence[str]
    dataset: Mapping[str, Any]
    """its facts"""
    state: State

    @property
    def name(self) -> str:
        return f"{self.kind} {self.label}"

    @property
    def itself(self) -> Mapping[str, str]:
        """What a selector may name besides coordinates."""
        return {"state": self.state, "fingerprint": self.fingerprint[:8]}

    @property
    def stage(self) -> str:
        return str(self.coordinates[0]["stage"])


def entries(
    store: Store,
    names: Sequence[str],
    selector: Selector | None,
    scale: str | None,
    sets: Sequence[str],
    must_match: bool = True,
) -> list[Entry]:
    """Those of the specs `names`, or of the whole store without names. Raises UsageError where none match but some must."""
    if not names and (scale or sets):
        raise UsageError("--scale and --set change what a spec plans: name the spec, as in quickstart --scale digits")
    if not names and not store.path.exists():
        raise UsageError(f"there is nothing at {store.path.absolute()}: no Step was run in that store")
    found = _planned(store, names, scale, sets) if names else _stored(store)
    chosen = found if selector is None else _select(found, selector)
    if must_match and selector is not None and not chosen:
        hint = near_miss(selector.table, [where for entry in found for where in entry.coordinates])
        raise UsageError(f"no Step {'of this plan' if names else f'in {store.path}'} has {as_selector(selector.table)}{hint}")
    return chosen


def _planned(store: Store, names: Sequence[str], scale: str | None, sets: Sequence[str]) -> list[Entry]:
    """Every Step of these specs."""
    with located(store, names):
        folders = Folders(compile(names, scale=scale, sets=sets), Images(store, names))
    return [
        Entry(
            fingerprint=step.fingerprint,
            kind=step.kind,
            label=step.label,
            folder=store.folder(step.id),
            coordinates=[step.coordinates, *step.also],
            needs=list(step.needs.values()),
            dataset=step.params["dataset"],
            state=folders.states[step.fingerprint],
        )
        for step in folders.plan.steps
    ]


def _stored(store: Store) -> list[Entry]:
    """Every Step that the store has a folder of."""
    found = [
        Entry(
            fingerprint=step["fingerprint"],
            kind=step["kind"],
            label=step["label"],
            folder=folder,
            coordinates=[step["coordinates"]],
            needs=[need["fingerprint"] for need in step["needs"].values()],
            dataset=step["params"]["dataset"],
            state=folder.state(),
        )
        for folder in store.folders()
        if (step := read_json(folder.step, "fingerprint", "kind", "label", "params", "coordinates", "needs"))
    ]
    states = {entry.fingerprint: entry.state for entry in found}
    states = Images(store).marked(
        states, ((e.fingerprint, e.kind, e.needs, e.dataset, e.folder) for e in _parents_first(found))
    )
    return [replace(entry, state=states[entry.fingerprint]) for entry in found]


def _parents_first(found: Sequence[Entry]) -> list[Entry]:
    """A parent outside of `found` does not matter."""
    by_fingerprint = {entry.fingerprint: entry for entry in found}
    order = TopologicalSorter({entry.fingerprint: entry.needs for entry in found}).static_order()
    return [by_fingerprint[fingerprint] for fingerprint in order if fingerprint in by_fingerprint]


def _select(found: Sequence[Entry], selector: Selector) -> list[Entry]:
    """In the same order, with the descendants and ancestors that the selector wants."""
    chosen = {
        entry.fingerprint
        for entry in found
        if any(matches({**coordinates, **entry.itself}, selector.table) for coordinates in entry.coordinates)
    }
    parents = {entry.fingerprint: entry.needs for entry in found}
    children: dict[str, list[str]] = {}
    for entry in found:
        for parent in entry.needs:
            children.setdefault(parent, []).append(entry.fingerprint)
    kept = set(chosen)
    if selector.descendants:
        kept |= reached(chosen, lambda key: children.get(key, ()))
    if selector.ancestors:
        kept |= reached(chosen, lambda key: parents.get(key, ()))
    return [entry for entry in found if entry.fingerprint in kept]


def cancel(chosen: Iterable[Entry], under_way: bool) -> Iterator[str]:
    """Stop running Steps at their next train step, and keep a run that is `under_way` from beginning the others."""
    stopped_any = False
    for entry in chosen:
        runs = entry.state in ("running", "unknown")
        if entry.state == "queued":
            stopped_any = True
            entry.folder.cancel()
            yield f"{entry.name}: taken out of the queue"
            continue
        if entry.state in FINISHED or not entry.folder.path.exists() or not (runs or under_way):
            continue
        stopped_any = True
        entry.folder.cancel()
        asked = "asked to stop, if it still runs;" if entry.state == "unknown" else "asked to stop;"
        yield f"{entry.name}: {f'{asked} its checkpoint stays' if runs else 'will not begin in the run under way'}"
    if not stopped_any:
        yield "Nothing to stop: none of these Steps runs" + (", and none waits in the run under way." if under_way else ".")
