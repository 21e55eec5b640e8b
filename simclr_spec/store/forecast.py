"""A plan held against a store: decisions, costs corrected by finished Steps, the budget. `plan` shows it, `run` obeys it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from simclr_spec.core.errors import DataError, MissingDataError, UsageError
from simclr_spec.core.fields import build
from simclr_spec.core.files import read_json
from simclr_spec.language.coordinates import Selector
from simclr_spec.language.machine import Machine, read_machine
from simclr_spec.plan import Plan, Step, compile
from simclr_spec.plan.cost import Cost, calibrated, cost, costs, likeness
from simclr_spec.plan.fingerprint import digest
from simclr_spec.stages.kinds import KINDS
from simclr_spec.store import history
from simclr_spec.store.layout import RunFolder, Store
from simclr_spec.store.reasons import Decision, decisions_of
from simclr_spec.store.staleness import Images, advice

_SAMPLES = 50
"""Finished Steps per kind whose results are read."""


@dataclass(frozen=True)
class Forecast:
    """A plan with all that is known of it before anything starts; `steps` are the selected ones."""

    plan: Plan
    selector: Selector | None
    steps: tuple[Step, ...]
    decisions: Mapping[str, Decision]
    """by fingerprint, like costs and seconds"""
    costs: Mapping[str, Cost]
    seconds: Mapping[str, float]
    """on one machine, corrected by finished Steps"""
    machine: Machine
    images: Images
    measured: Set[tuple[str, str]] = frozenset()
    """kinds and precisions whose seconds finished Steps corrected"""

    def hours(self, steps: Iterable[Step]) -> float:
        """Machine-hours still to be spent on these Steps."""
        return sum(self.seconds[s.fingerprint] for s in steps if self.decisions[s.fingerprint].runs) / 3600

    @property
    def digest(self) -> str:
        """What `plan -o` writes and `run --expect` compares: the selected Steps and all that they need, done or not."""
        return digest(sorted(self.plan.ancestors(step.fingerprint for step in self.steps)))

    @property
    def running(self) -> list[Step]:
        """The Steps that will run, what the selected ones need included."""
        return [step for step in self.plan.steps if self.decisions[step.fingerprint].runs]

    @property
    def needed(self) -> list[Step]:
        """Those of them that are not selected."""
        selected = {step.fingerprint for step in self.steps}
        return [step for step in self.running if step.fingerprint not in selected]

    @property
    def stale(self) -> list[Step]:
        """Selected, or needed by what will run."""
        shown = {step.fingerprint for step in self.steps}.union(*(step.needs.values() for step in self.running))
        return [s for s in self.plan.steps if s.fingerprint in shown and self.decisions[s.fingerprint].state == "stale"]

    def after(self) -> Forecast:
        """The same once it was run: what other processes made of it meanwhile may be of other images."""
        return replace(self, decisions=decisions_of(self.plan, self.images.store, self.steps, self.images.mark_steps))

    def refuse_stale(self) -> None:
        """Raises DataError where a Step would start from a stale one."""
        for step in self.running:
            for parent in map(self.plan.by_fingerprint.__getitem__, step.needs.values()):
                if self.decisions[parent.fingerprint].state == "stale":
                    raise DataError(
                        f"{step.id} starts from {parent.id}, which is stale: {self.images.told([parent])} "
                        f"have changed since. Nothing started; {advice([parent], self.images.store)}"
                    )


def make_forecast(
    names: Sequence[str],
    selector: Selector | None = None,
    *,
    scale: str | None = None,
    sets: Sequence[str] = (),
    store: str = "runs",
    machine: str | None = None,
    max_hours: float | None = None,
    within: Selector | None = None,
    images: Images | None = None,
) -> Forecast:
    """Compile, look at the store, price. Raises UsageError when the plan costs more than `max_hours`.

    `images` are those of today, with which done Steps are compared; unless given, they lie where those of the last run did.

    Of the Steps that `selector` selects only those are taken that `within` selects, too.
    """
    shelf = Store(Path(store))
    with history.located(shelf, names):
        plan = compile(names, scale=scale, sets=sets)
    images = images or Images(shelf, plan.specs)
    decisions = decisions_of(plan, shelf, mark_stale=images.mark_steps)
    states = {key: decision.state for key, decision in decisions.items()}
    steps = plan.select(selector, states)
    if within is not None:
        asked = set(plan.select(within, states))
        steps = tuple(step for step in steps if step in asked)
    if selector is not None:
        decisions = decisions_of(plan, shelf, steps, images.mark_steps)
    device = read_machine(machine or plan.machine)
    priced = costs(plan, device)
    ratios = _ratios(plan, shelf, decisions, priced, device)
    measured = frozenset(like for like, found in ratios.items() if found)
    forecast = Forecast(plan, selector, steps, decisions, priced, calibrated(plan, priced, ratios), device, images, measured)
    hours = forecast.hours(forecast.running)
    if max_hours is not None and hours > max_hours:
        told = f"{hours:,.0f}" if hours >= 100 else f"{hours:.4g}"
        raise UsageError(
            f"this plan costs {told} {device.unit}-hours, more than the {max_hours:g} of --max-gpu-hours; nothing started"
        )
    return forecast


def check_data(forecast: Forecast, *, keep: bool) -> list[str]:
    """A first look at what the running Steps read, which a dry run does not keep: notes, a line each.

    Raises DataError; where images are not there and a scale brings its own, names the rehearsal.
    """
    from simclr_spec.store import first_look

    try:
        return first_look.check(forecast.running, forecast.images.roots, forecast.images.store, keep=keep)
    except MissingDataError as error:
        if not forecast.plan.may_rehearse:
            raise
        raise MissingDataError(f"{error}; --scale digits needs no data") from None


def _ratios(
    plan: Plan, store: Store, decisions: Mapping[str, Decision], priced: Mapping[str, Cost], machine: Machine
) -> dict[tuple[str, str], list[float]]:
    """Measured over estimated seconds of some finished Steps, by kind and precision: the plan's own, else the store's."""
    done: dict[tuple[str, str], list[Step]] = {likeness(step): [] for step in plan.steps}
    for step in plan.steps:
        if decisions[step.fingerprint].state == "done":
            done[likeness(step)].append(step)
    found: dict[tuple[str, str], list[float]] = {like: [] for like in done}
    for like, steps in done.items():
        for step in steps[:_SAMPLES]:
            if seconds := _measured(store.folder_at(step.id), machine):
                found[like].append(seconds / priced[step.fingerprint].seconds)
    without = {like for like, ratios in found.items() if not ratios}
    for kind in {kind for kind, _ in without} - {"distill"}:  # whose cost is its teacher's, too
        for folder in islice(store.done(kind), _SAMPLES):
            known = _known(folder) or {}
            like = kind, known.get("precision", "")
            if like in without and (seconds := _measured(folder, machine)):
                found[like].append(seconds / cost(kind, known, None, machine).seconds)
    return found


def _measured(folder: RunFolder, machine: Machine) -> float | None:
    """Machine-seconds of a finished Step, where it ran on such machines."""
    result = read_json(folder.result) or {}
    environment = result.get("environment", {})
    if not result.get("seconds") or not machine.fits(environment):
        return None
    return float(result["seconds"] * machine.used(environment))


def _known(folder: RunFolder) -> dict[str, Any] | None:
    """The Step's parameters, where they are those of this version."""
    step = read_json(folder.step, "kind", "params")
    try:
        build(KINDS[step["kind"]], step["params"])
    except TypeError:
        return None
    values: dict[str, Any] = step["params"]
    return values
