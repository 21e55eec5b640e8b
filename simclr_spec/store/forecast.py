"""A plan held against a store: decisions, costs corrected by finished Steps, the budget. `plan` shows it, `run` obeys it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from simclr_spec.core.errors import DataError, MissingDataError, UsageError
from simclr_spec.core.files import read_json
from simclr_spec.core.words import amount, number
from simclr_spec.language.coordinates import Selector
from simclr_spec.language.machine import Machine, read_machine
from simclr_spec.language.runner import Local, Runner
from simclr_spec.plan import Plan, Step, compile
from simclr_spec.plan.cost import Cost, calibrated, cost, costs, likeness, precision_of, work_of
from simclr_spec.plan.fingerprint import digest
from simclr_spec.stages.kind import Work
from simclr_spec.stages.kinds import KINDS
from simclr_spec.store import history
from simclr_spec.store.layout import RunFolder, Store
from simclr_spec.store.reasons import Decision, Folders, decisions_of
from simclr_spec.store.staleness import Images, advice

_SAMPLES = 50
"""Finished Steps per kind whose results are read."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """A plan with all that is known of it before anything starts."""

    plan: Plan
    selector: Selector | None
    selected: tuple[Step, ...]
    """the Steps that were asked for"""
    decisions: Mapping[str, Decision]
    """by fingerprint, like costs and seconds"""
    costs: Mapping[str, Cost]
    seconds: Mapping[str, float]
    """on one machine, corrected by finished Steps"""
    machine: Machine
    runner: Runner
    images: Images
    corrected: Set[tuple[str, str]] = frozenset()
    """kinds and precisions whose seconds finished Steps corrected"""

    def hours(self, steps: Iterable[Step]) -> float:
        """Machine-hours still to be spent on these Steps."""
        return sum(self.seconds[s.fingerprint] for s in steps if self.decisions[s.fingerprint].runs) / 3600

    def devices(self, step: Step) -> int:
        """That the runner gives it."""
        return self.runner.devices(step.coordinates)

    @property
    def recompute(self) -> bool:
        """Whether the runner has activations computed again."""
        return self.runner.recompute

    @property
    def digest(self) -> str:
        """What `plan -o` writes and `run --expect` compares: the selected Steps and all that they need, done or not."""
        return digest(sorted(self.plan.ancestors(step.fingerprint for step in self.selected)))

    @property
    def to_run(self) -> list[Step]:
        """The Steps that will run, what the selected ones need included."""
        return [step for step in self.plan.steps if self.decisions[step.fingerprint].runs]

    @property
    def needed(self) -> list[Step]:
        """Those of them that are not selected."""
        selected = {step.fingerprint for step in self.selected}
        return [step for step in self.to_run if step.fingerprint not in selected]

    @property
    def stale(self) -> list[Step]:
        """Selected, or needed by what will run."""
        concerned = {step.fingerprint for step in self.selected}.union(*(step.needs.values() for step in self.to_run))
        return [s for s in self.plan.steps if s.fingerprint in concerned and self.decisions[s.fingerprint].state == "stale"]

    def looked_at_again(self) -> Forecast:
        """The same once it was run: what other processes made of it meanwhile may be of other images."""
        return replace(self, decisions=decisions_of(Folders(self.plan, self.images), self.selected))

    def refuse_stale(self) -> None:
        """Raises DataError where a Step would start from a stale one."""
        for step in self.to_run:
            for parent in map(self.plan.by_fingerprint.__getitem__, step.needs.values()):
                if self.decisions[parent.fingerprint].state == "stale":
                    raise DataError(
                        f"{step.id} starts from {parent.id}, which is stale: {self.images.named([parent])} "
                        f"have changed since. Nothing started; {advice([parent], self.images.store)}"
                    )


def make_forecast(
    names: Sequence[str],
    selector: Selector | None = None,
    *,
    images: Images,
    scale: str | None = None,
    sets: Sequence[str] = (),
    runner: Runner | None = None,
    machine: str | None = None,
    max_hours: float | None = None,
) -> Forecast:
    """Compile, look at the store of the images, price. Raises UsageError when the plan costs more than `max_hours`."""
    with history.located(images.store, names):
        folders = Folders(compile(names, scale=scale, sets=sets), images)
    selected = folders.plan.select(selector, folders.states)
    forecast = forecast_of(folders, selector, selected, runner, machine)
    hours = forecast.hours(forecast.to_run)
    if max_hours is not None and hours > max_hours:
        cost_in_hours = amount(hours) if hours >= 1 else number(hours, 4)
        raise UsageError(
            f"this plan costs {cost_in_hours} {forecast.machine.unit}-hours, "
            f"more than the {number(max_hours)} of --max-gpu-hours; nothing started"
        )
    return forecast


def forecast_of(
    folders: Folders,
    selector: Selector | None,
    selected: tuple[Step, ...],
    runner: Runner | None = None,
    machine: str | None = None,
) -> Forecast:
    """Decide and price: for that machine, the runner's, or the one that the plan's scales name. Without a runner: local."""
    runner = runner or Local()
    plan, decisions = folders.plan, decisions_of(folders, selected)
    device = read_machine(machine or runner.machine or plan.machine)
    estimated = costs(plan, device, recompute=runner.recompute)
    ratios = _ratios(plan, folders.store, decisions, device)
    return Forecast(
        plan=plan,
        selector=selector,
        selected=selected,
        decisions=decisions,
        costs=estimated,
        seconds=calibrated(plan, estimated, ratios),
        machine=device,
        runner=runner,
        images=folders.images,
        corrected=frozenset(like for like, measured in ratios.items() if measured),
    )


def look_at_data(forecast: Forecast, *, keep: bool) -> list[str]:
    """A first look at what the running Steps read, which a dry run does not keep: notes, a line each.

    Raises DataError; where images are not there and a scale brings its own, names the rehearsal.
    """
    from simclr_spec.store import first_look

    steps, images = forecast.to_run, forecast.images
    needed = dict.fromkeys(parent for step in steps for parent in step.needs.values())
    starts = [forecast.plan.by_fingerprint[parent] for parent in needed if not forecast.decisions[parent].runs]
    try:
        return first_look.look_ahead(steps, images.roots, images.store, starts=starts, keep=keep)
    except MissingDataError as error:
        if not forecast.plan.may_rehearse:
            raise
        raise MissingDataError(f"{error}; --scale digits needs no data") from None


def _ratios(
    plan: Plan, store: Store, decisions: Mapping[str, Decision], machine: Machine
) -> dict[tuple[str, str], list[float]]:
    """Measured over estimated seconds of some finished Steps, by kind and precision: the plan's own, else the store's."""
    done: dict[tuple[str, str], list[Step]] = {likeness(step): [] for step in plan.steps}
    for step in plan.steps:
        if decisions[step.fingerprint].state == "done":
            done[likeness(step)].append(step)
    found: dict[tuple[str, str], list[float]] = {like: [] for like in done}
    for like, steps in done.items():
        for step in steps[:_SAMPLES]:
            if ratio := _ratio(work_of(plan, step), store.folder(step.id), machine):
                found[like].append(ratio)
    without = {like for like, ratios in found.items() if not ratios}
    for kind in {name for name, _ in without if not KINDS[name].priced_with_parents}:
        for folder in islice(store.done(kind), _SAMPLES):
            config = _config(folder)
            if config is None or (like := (kind, precision_of(vars(config)))) not in without:
                continue
            if ratio := _ratio(KINDS[kind].work(config, {}), folder, machine):
                found[like].append(ratio)
    return found


def _ratio(work: Work, folder: RunFolder, machine: Machine) -> float | None:
    """Measured over estimated seconds of a finished Step, where it ran on such machines."""
    result = read_json(folder.result) or {}
    environment = result.get("environment", {})
    if not result.get("seconds") or not machine.fits(environment):
        return None
    estimated = cost(work, machine, recompute=environment.get("recompute", False)).seconds
    return float(result["seconds"] * machine.used(environment) / estimated) if estimated else None


def _config(folder: RunFolder) -> Any:
    """The Step's parameters, where they are those of this version, else None."""
    step = read_json(folder.step, "kind", "params")
    try:
        return KINDS[step["kind"]].build(step["params"])
    except TypeError:
        return None
