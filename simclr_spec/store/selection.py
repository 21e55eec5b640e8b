"""Run folders that a person names on the command line: by specs, by selectors, or both."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from simclr_spec.core.errors import SpecError, UsageError
from simclr_spec.core.files import read_json
from simclr_spec.core.states import FINISHED, State
from simclr_spec.data import roots as data_roots
from simclr_spec.language.coordinates import Selector, matches, near_miss, show
from simclr_spec.language.declared import absolute
from simclr_spec.plan import compile
from simclr_spec.store.forecast import Forecast, make_forecast
from simclr_spec.store.history import all_plans, located, record
from simclr_spec.store.layout import RunFolder, Store
from simclr_spec.store.staleness import Images

_UNFINISHED = ["failed", "interrupted"]


@dataclass(frozen=True, eq=False)
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
    state: State = field(default="new")

    @property
    def name(self) -> str:
        return f"{self.kind} {self.label}"

    @property
    def stage(self) -> str:
        return str(self.coordinates[0]["stage"])


def entries(
    store: Store, names: Sequence[str], selector: Selector | None, scale: str | None, sets: Sequence[str], some: bool = True
) -> list[Entry]:
    """Those of the specs `names`, or of the whole store without names. Raises UsageError where none match but `some` should."""
    if not names and (scale or sets):
        raise UsageError("--scale and --set change what a spec plans: name the spec, as in quickstart --scale digits")
    if not names and not store.path.exists():
        raise UsageError(f"there is nothing at {store.path.absolute()}: no Step was run in that store")
    found = _marked(store, names, list(_planned(store, names, scale, sets) if names else _stored(store)))
    chosen = found if selector is None else _selected(found, selector)
    if some and selector is not None and not chosen:
        hint = near_miss(selector.table, [where for entry in found for where in entry.coordinates])
        raise UsageError(f"no Step {'of this plan' if names else f'in {store.path}'} has {show(selector.table)}{hint}")
    return chosen


def _planned(store: Store, names: Sequence[str], scale: str | None, sets: Sequence[str]) -> Iterator[Entry]:
    with located(store, names):
        steps = compile(names, scale=scale, sets=sets).steps
    for step in steps:
        folder = store.folder(step.kind, step.label, step.fingerprint)
        coordinates = [step.coordinates, *step.also]
        needs, dataset = list(step.needs.values()), step.params["dataset"]
        yield Entry(step.fingerprint, step.kind, step.label, folder, coordinates, needs, dataset, folder.state())


def _stored(store: Store) -> Iterator[Entry]:
    for folder in store.folders():
        if step := read_json(folder.step, "fingerprint", "kind", "label", "params", "coordinates", "needs"):
            needs, dataset = [need["fingerprint"] for need in step["needs"].values()], step["params"]["dataset"]
            names = step["fingerprint"], step["kind"], step["label"]
            yield Entry(*names, folder, [step["coordinates"]], needs, dataset, folder.state())


def _marked(store: Store, specs: Sequence[str], found: Sequence[Entry]) -> list[Entry]:
    """With those that are stale."""
    states = {entry.fingerprint: entry.state for entry in found}
    images = Images(store, specs)
    images.mark(states, ((e.fingerprint, e.needs, e.dataset, e.folder) for e in _parents_first(found)))
    return [replace(entry, state=states[entry.fingerprint]) for entry in found]


def _selected(found: Sequence[Entry], selector: Selector) -> list[Entry]:
    chosen = {
        entry.fingerprint
        for entry in found
        if any(matches({**coordinates, "state": entry.state}, selector.table) for coordinates in entry.coordinates)
    }
    keep = set(chosen)
    if selector.descendants:
        below = set(chosen)
        for entry in _parents_first(found):
            if below & set(entry.needs):
                below.add(entry.fingerprint)
        keep |= below
    if selector.ancestors:
        above = set(chosen)
        for entry in reversed(_parents_first(found)):
            if entry.fingerprint in above:
                above |= set(entry.needs)
        keep |= above
    return [entry for entry in found if entry.fingerprint in keep]


def _parents_first(found: Sequence[Entry]) -> list[Entry]:
    """Topological order; a parent outside of `found` does not matter."""
    left = {entry.fingerprint: entry for entry in found}
    ordered: list[Entry] = []
    while left:
        free = [entry for entry in left.values() if not any(parent in left for parent in entry.needs)]
        for entry in free:
            del left[entry.fingerprint]
        ordered += free
    return ordered


def forecast_again(
    store: str, names: Sequence[str], selector: Selector | None, machine: str | None = None, roots: Sequence[str] = ()
) -> Forecast:
    """The plan that ran last (of the specs `names`, if any), narrowed to what failed or was interrupted and its descendants.

    A plan that ran in part goes on with that part. A `selector` narrows both. Its images lie where `roots` or the
    environment say, else where they lay then.
    """
    place = Store(Path(store))
    plans = [plan for plan in all_plans(place) if not names or _names(names) <= set(plan.specs)]
    if not plans:
        raise UsageError(
            f"no plan {'of ' + ' '.join(names) + ' ' if names else ''}was run in {place.path.absolute()}; "
            "simclr-spec run begins one"
        )
    last = plans[0]
    planned, wanted = list(_planned(place, last.specs, last.scale, last.sets)), dict(selector.table if selector else {})
    asked = Selector({key: value for key, value in wanted.items() if key != "state"})
    if _selected(planned, asked) and not _selected(planned, Selector({"state": _UNFINISHED, **wanted})):
        of = f" of {show(wanted)}" if wanted else ""
        raise UsageError(f"nothing{of} failed or was interrupted in the plan that ran last: {' '.join(last.specs)}")
    chosen = last.selector or Selector({"state": _UNFINISHED}, descendants=True)
    if selector is not None:
        chosen = replace(selector, table={"state": _UNFINISHED, **selector.table}, descendants=True)
    images = Images(place, last.specs, data_roots.configured(roots) or last.data_roots, thorough=True)
    told: dict[str, Any] = {"scale": last.scale, "sets": last.sets, "store": store, "machine": machine, "images": images}
    return replace(make_forecast(last.specs, chosen, within=last.selector, **told), selector=last.selector)


def _names(names: Sequence[str]) -> set[str]:
    return set(map(absolute, names))


def cancel(chosen: Iterable[Entry], under_way: bool) -> Iterator[str]:
    """Stop running Steps at their next train step, and keep a run that is `under_way` from beginning the others."""
    some = False
    for entry in chosen:
        running = entry.state == "running"
        if entry.state in FINISHED or not entry.folder.path.exists() or not (running or under_way):
            continue
        some = True
        entry.folder.cancel()
        yield f"{entry.name}: {'asked to stop; its checkpoint stays' if running else 'will not begin in the run under way'}"
    if not some:
        yield "Nothing to stop: none of these Steps runs" + (", and none waits in the run under way." if under_way else ".")


@dataclass(frozen=True)
class Waste:
    """What nothing needs any more."""

    path: Path
    why: str
    size: int


def waste(store: Store) -> list[Waste]:
    """Run folders in no recorded plan (as its spec stands now) and in no declared spec; attempts that did not win."""
    needed = _needed(store)
    found = []
    for folder in store.folders():
        step = read_json(folder.step, "fingerprint")
        if step is None or folder.is_leased():
            continue
        if step["fingerprint"] not in needed:
            found.append(Waste(folder.path, "in no spec as it stands now", _size(folder.path)))
        elif folder.done:
            winner = folder.weights.parent
            found += [Waste(a.path, "did not win", _size(a.path)) for a in folder.attempts() if a.path != winner]
    return found


def _needed(store: Store) -> set[str]:
    """Fingerprints of every recorded plan and every declared spec. Raises UsageError where one cannot be compiled any more."""
    from simclr_spec.language import declared

    asked = [((name,), None, ()) for name in declared.names("spec")]
    asked += [(plan.specs, plan.scale, plan.sets) for plan in all_plans(store)]  # type: ignore[misc]
    needed: set[str] = set()
    for specs, scale, sets in dict.fromkeys(asked):
        try:
            with located(store, specs):
                needed |= set(compile(specs, scale=scale, sets=sets).by_fingerprint)
        except (SpecError, UsageError) as error:
            what = f"{' '.join(specs)} was run in {store.path}, but cannot be read now"
            told = f"{what}, so nothing is deleted: {str(error).splitlines()[0]}{_forgotten(store, (specs, scale, sets))}"
            raise UsageError(told) from None
    return needed


def _forgotten(store: Store, asked: tuple[Any, ...]) -> str:
    """Which lines to delete, so that the store forgets a plan."""
    plans = enumerate(reversed(all_plans(store)), 1)
    lines = ", ".join(str(line) for line, plan in plans if (plan.specs, plan.scale, plan.sets) == asked)
    return f". Bring it back; or, if its runs may go, delete line {lines} of {record(store)}" if lines else ""


def _size(path: Path) -> int:
    return 0 if path.is_symlink() else sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())


def delete(found: Iterable[Waste]) -> None:
    """Of a folder that is a symbolic link, the link."""
    for one in found:
        one.path.unlink() if one.path.is_symlink() else shutil.rmtree(one.path)
