"""Which Steps of a plan will run, and why: one engine for `plan` and `run`.

A Step runs when it is asked for and not done, or when such a Step needs it and it is not done. Nothing else runs:
a done Step, stale or not, is never run again and never causes a parent to run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from simclr_spec.core.files import read_json
from simclr_spec.core.states import FINISHED, State
from simclr_spec.core.words import counted, plain
from simclr_spec.plan import Plan, Step
from simclr_spec.plan.resolve import COORDINATE_FIELDS
from simclr_spec.store.layout import RunFolder
from simclr_spec.store.sentences import last_error, last_heard
from simclr_spec.store.staleness import Images


@dataclass(frozen=True, kw_only=True)
class ChangedValue:
    """A value, or a parent, that differs from that of the Step with the same axes in the store."""

    name: str
    old: Any
    new: Any
    origin: str


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What is known of a Step before anything starts; `why` is one line, empty for a Step that will not run."""

    state: State
    runs: bool
    why: str = ""
    changes: tuple[ChangedValue, ...] = ()


def decisions_of(folders: Folders, selected: Iterable[Step]) -> dict[str, Decision]:
    """Fingerprint -> decision, for every Step of the plan."""
    plan, states = folders.plan, folders.states
    wanted = {step.fingerprint for step in selected}
    to_run = _unfinished_and_needed(plan, states, wanted)
    decisions: dict[str, Decision] = {}
    for step in plan.steps:
        state = states[step.fingerprint]
        if step.fingerprint not in to_run:
            decisions[step.fingerprint] = Decision(state=state, runs=False)
            continue
        changes: tuple[ChangedValue, ...] = ()
        reason = _unfinished(folders.store.folder(step.id), state)
        waits = [parent for parent in step.needs.values() if parent in to_run]
        if state == "new" and (old := folders.twin(step)) is not None:
            changes = tuple(_changes(old, step)) or (() if waits else tuple(_other_parents(plan, old, step)))
            reason = _changed(plan, step, changes) if changes else reason
        if waits and not changes:
            parent = plan.by_fingerprint[waits[0]]
            reason = f"{parent.id} will run" if reason == "new" else f"{reason}; {parent.id} will run"
        if step.fingerprint not in wanted:
            reason += ", needed by the selection"
        decisions[step.fingerprint] = Decision(state=state, runs=True, why=reason, changes=changes)
    return decisions


def _unfinished_and_needed(plan: Plan, states: Mapping[str, State], wanted: set[str]) -> set[str]:
    """The wanted Steps that are not done and, of what they need, what is not done."""
    to_run: set[str] = set()
    unfinished = [fingerprint for fingerprint in wanted if states[fingerprint] not in FINISHED]
    while unfinished:
        fingerprint = unfinished.pop()
        if fingerprint not in to_run:
            to_run.add(fingerprint)
            parents = plan.by_fingerprint[fingerprint].needs.values()
            unfinished.extend(parent for parent in parents if states[parent] not in FINISHED)
    return to_run


def _unfinished(folder: RunFolder, state: State) -> str:
    """What happened to the last attempt."""
    if state == "new":
        return "new"
    if queued := folder.without_attempt():
        return f"{state}: {queued.why}" if queued.ended else f"queued as job {queued.job}"
    if state == "unknown":
        return f"unknown: {last_heard(folder)}"
    if state == "running":
        return "running now"
    last = folder.attempts()[-1]
    if state == "failed":
        return f"failed in attempt {last.number}: {last_error(last) or 'no message'}"
    metrics = last.last_metrics()
    at = f" at train step {metrics['train_step']:,}" if metrics and "train_step" in metrics else ""
    return f"interrupted in attempt {last.number}{at}"


def _changed(plan: Plan, step: Step, changes: tuple[ChangedValue, ...]) -> str:
    """`epochs 800 → 100 (specs/scales/digits.toml:22); 5 Steps follow`."""
    values = ", ".join(f"{c.name} {plain(c.old)} → {plain(c.new)} ({c.origin})" for c in changes[:3])
    more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
    followers = len(plan.descendants([step.fingerprint])) - 1
    follow = f"; {counted(followers, 'Step')} follow{'s' * (followers == 1)}" if followers else ""
    return f"{values}{more}{follow}"


def _changes(old: Mapping[str, Any], step: Step) -> Iterator[ChangedValue]:
    before = dict(_flat(old["params"]))
    for name, new in _flat(step.params):
        if name not in before or before[name] != new:
            yield ChangedValue(name=name, old=before.get(name), new=new, origin=step.origins[name].origin)


def _other_parents(plan: Plan, old: Mapping[str, Any], step: Step) -> Iterator[ChangedValue]:
    """Another Step is needed than before."""
    for role, new in step.needs.items():
        before = old["needs"][role]["fingerprint"]
        if before != new:
            name = "its teacher" if role == "teacher" else "its parent"
            yield ChangedValue(name=name, old=before[:8], new=new[:8], origin=plan.by_fingerprint[new].id)


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _axes(coordinates: Mapping[str, Any]) -> dict[str, Any]:
    """Less the coordinates that are resolved values, the Step's own or its teacher's: those may have changed."""
    return {key: value for key, value in coordinates.items() if key.removeprefix("teacher_") not in COORDINATE_FIELDS}


class Folders:
    """A plan's folders in the images' store, listed once per kind; single files are looked at only where a Step needs it."""

    def __init__(self, plan: Plan, images: Images) -> None:
        self.plan, self.images, self.store = plan, images, images.store
        self._names: dict[str, set[str]] = {}
        self._by_label: dict[str, dict[str, list[str]]] = {}

    @cached_property
    def states(self) -> dict[str, State]:
        """Fingerprint -> state now, for every Step of the plan."""
        steps = self.plan.steps
        return self.images.marked_steps({step.fingerprint: self._state(step) for step in steps}, steps)

    def _folder_names(self, kind: str) -> set[str]:
        if kind not in self._names:
            self._names[kind] = self.store.names(kind)
        return self._names[kind]

    def _state(self, step: Step) -> State:
        kind, _, name = step.id.partition("/")
        if name not in self._folder_names(kind):
            return "new"
        return self.store.folder(step.id).state()

    def twin(self, step: Step) -> dict[str, Any] | None:
        """step.json of a Step in the store with these axes and another fingerprint; the one that differs least."""
        if step.kind not in self._by_label:
            labels = self._by_label[step.kind] = {}
            mine = {other.id.partition("/")[2] for other in self.plan.steps if other.kind == step.kind}
            for name in self._folder_names(step.kind) - mine:
                labels.setdefault(name.rpartition("-")[0], []).append(name)
        found = []
        for name in self._by_label[step.kind].get(step.label, ()):
            old = read_json(self.store.folder(f"{step.kind}/{name}").step, "params", "needs", "coordinates")
            if old is not None and step.matches(_axes(old["coordinates"])):
                found.append(old)
        return min(found, key=lambda old: sum(1 for _ in _changes(old, step)), default=None)
