"""A plan on the terminal: as a table, or as a list of its Steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from simclr_spec.cli.show.columns import aligned, or_dash
from simclr_spec.core.errors import SpecError, UsageError
from simclr_spec.core.states import STATES, State
from simclr_spec.core.words import amount, counted, fixed, scientific, size
from simclr_spec.language.coordinates import as_selector
from simclr_spec.language.written import ASSUMED
from simclr_spec.plan import Plan, Step, compile
from simclr_spec.plan.compiler import UNSCALED_TITLE
from simclr_spec.plan.cost import costs, likeness
from simclr_spec.plan.departures import assumptions, deviations
from simclr_spec.plan.overrides import WEIGHTS, for_weights
from simclr_spec.plan.released import OFFICIAL
from simclr_spec.stages.kinds import KINDS
from simclr_spec.store.drift import drifted
from simclr_spec.store.forecast import Forecast
from simclr_spec.store.memory import misfits
from simclr_spec.store.reasons import Folders
from simclr_spec.store.staleness import advice

T = TypeVar("T")

_REASONS = 12
"""Reasons that the table shows; --format json has all."""
_ENCODERS = 16
"""Encoders that it shows."""
_INDENT = "  "


def as_table(forecast: Forecast, *, of_cells: bool = True) -> str:
    """Steps by stage, what each encoder costs, what is known of the Steps, and what the whole costs.

    `of_cells`: and what is saved because cells share Steps."""
    plan, unit = forecast.plan, forecast.machine.unit
    scale = plan.scale_title or UNSCALED_TITLE
    encoders = {_encoder(step) for step in forecast.selected}
    lines = [
        f"{' + '.join(plan.titles)} · {counted(len(forecast.selected), 'Step')} · {counted(len(encoders), 'encoder')} · {scale}"
    ]
    states = _states(forecast)
    head = ["stage", "steps", *states, "ready", "waits", f"{unit}-hours"]
    stages = _grouped(forecast.selected, lambda step: step.stage)
    stages |= _grouped(forecast.needed, lambda step: f"needed: {step.stage}")
    rows = [_row(forecast, stage, members, states) for stage, members in stages.items()]
    if len(stages) > 1:
        rows.append(_row(forecast, "total", [*forecast.selected, *forecast.needed], states))
    lines += aligned([[*head, *_fit_head(forecast)], *rows], _INDENT)
    lines += _encoders(forecast)
    lines += _bill(forecast, of_cells)
    lines += _reasons(forecast)
    lines += stale_warning(forecast)
    lines += [f"! {line}" for line in drifted(forecast.images.store.folder(step.id) for step in forecast.selected)]
    return "\n".join([*lines, *_released(forecast), *(f"✗ {misfit}" for misfit in misfits(forecast))])


def as_list(forecast: Forecast, serves: Mapping[Step, int] | None = None) -> str:
    """Every selected Step, and those that it needs: state, hours, the coordinates that tell it from the others.

    `serves`: how many cells of the paper's tables and figures each of them serves."""
    listed = {step.fingerprint for step in (*forecast.selected, *forecast.needed)}
    steps = [step for step in forecast.plan.steps if step.fingerprint in listed]
    keys = _telling(forecast.plan)
    rows = [["state", f"{forecast.machine.unit}-hours", *(["cells"] if serves else [])]]
    rows += [
        [forecast.decisions[s.fingerprint].state, amount(forecast.hours([s])), *([str(serves[s])] if serves else [])]
        for s in steps
    ]
    coordinates = (
        as_selector({key: step.coordinates[key] for key in keys[step.stage] if key in step.coordinates}) for step in steps
    )
    return "\n".join(
        f"{line}  {cell}" for line, cell in zip(aligned(rows, _INDENT), ["coordinates", *coordinates], strict=True)
    )


def _telling(plan: Plan) -> dict[str, list[str]]:
    """Stage -> the coordinates that tell its Steps from each other, itself first: what selects one Step of the plan."""
    stages = _grouped((where for step in plan.steps for where in (step.coordinates, *step.also)), lambda where: where["stage"])
    found = {}
    for stage, members in stages.items():
        keys = dict.fromkeys(key for where in members for key in where)
        found[stage] = ["stage", *(key for key in keys if len({where.get(key) for where in members}) > 1)]
    return found


def _grouped(items: Iterable[T], name: Callable[[T], str]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = {}
    for item in items:
        found.setdefault(name(item), []).append(item)
    return found


def _encoder(step: Step) -> str:
    """`50 1×`, `152 3× SK`."""
    where = step.coordinates
    return f"{where['depth']} {where['width']}×{' SK' * where['sk']}"


def _encoders(forecast: Forecast) -> Iterator[str]:
    """What each of several encoders costs: hours, and the memory that its largest Step needs."""
    encoders = _grouped([*forecast.selected, *forecast.needed], _encoder)
    if len(encoders) == 1:
        return
    rows = [["encoder", "steps", f"{forecast.machine.unit}-hours", "memory", *_fit_head(forecast)]]
    for name, steps in [*encoders.items()][:_ENCODERS]:
        memory = max(forecast.costs[step.fingerprint].memory for step in steps)
        rows.append([name, str(len(steps)), amount(forecast.hours(steps)), size(memory), *_fit(forecast, steps)])
    yield from aligned(rows, _INDENT)
    if len(encoders) > _ENCODERS:
        yield f"  ... and {len(encoders) - _ENCODERS:,} more (--format json shows all)"


def _states(forecast: Forecast) -> list[State]:
    """Those that have a column: of some Step, and done; what is new is either ready or waits for another Step."""
    found = {"done", *(forecast.decisions[step.fingerprint].state for step in (*forecast.selected, *forecast.needed))}
    return [state for state in STATES if state in found and state != "new"]


def _row(forecast: Forecast, name: str, steps: Sequence[Step], states: Sequence[State]) -> list[str]:
    counts = Counter[str](forecast.decisions[step.fingerprint].state for step in steps)
    waits = sum(
        forecast.decisions[step.fingerprint].state == "new"
        and any(forecast.decisions[parent].runs for parent in step.needs.values())
        for step in steps
    )
    in_states = [or_dash(count) for count in (*(counts[state] for state in states), counts["new"] - waits, waits)]
    return [name, str(len(steps)), *in_states, amount(forecast.hours(steps)), *_fit(forecast, steps)]


def _fit_head(forecast: Forecast) -> list[str]:
    """Cores share the memory of their machine: how many hold a batch means nothing."""
    return ["GPUs for a batch"] if forecast.machine.unit == "GPU" else []


def _fit(forecast: Forecast, steps: Sequence[Step]) -> list[str]:
    machines = [forecast.costs[step.fingerprint].machines for step in steps]
    few, many = min(machines), max(machines)
    return [or_dash(few) if few == many else f"{or_dash(few)}–{or_dash(many)}"] if forecast.machine.unit == "GPU" else []


def _bill(forecast: Forecast, of_cells: bool) -> Iterator[str]:
    running = forecast.to_run
    flops = sum(forecast.costs[step.fingerprint].flops for step in running)
    kept = sum(forecast.costs[step.fingerprint].disk for step in running)
    unit = forecast.machine.unit
    if running:
        where = forecast.machine.title + (", with recompute" if forecast.recompute else "")
        hours = f"{amount(forecast.hours(running))} {unit}-hours ({where})"
        yield f"{counted(len(running), 'Step')} will run: {hours}, {scientific(flops)} FLOP, {size(kept)} of weights"
        yield from _assumed_rates(forecast)
        yield from _sharing(forecast) if of_cells else ()
    else:
        yield "Nothing will run." if forecast.stale else "Everything is done: nothing will run."
    assumed, deviating = assumptions(forecast.plan.steps), deviations(forecast.plan.steps)
    counts = f"{counted(len(assumed), 'assumption')}, {counted(len(deviating), 'deviation')}"
    yield f"{counts} (simclr-spec explain {forecast.plan.arguments})"


def _assumed_rates(forecast: Forecast) -> Iterator[str]:
    """Precisions whose rates are a guess that no finished Step has corrected; and what bf16 costs where that is much less."""
    unsure = {likeness(step)[1] for step in forecast.to_run if likeness(step) not in forecast.corrected}
    for precision in sorted(name for name in unsure if forecast.machine.rates[name].status == ASSUMED):
        yield f"{precision} is priced by assumption ({forecast.machine.rates[precision].source})"
    if "bf16" not in unsure and forecast.machine.unit == "GPU" and any("precision" in step.params for step in forecast.to_run):
        priced = costs(forecast.plan, forecast.machine, "bf16", recompute=forecast.recompute)
        everything = forecast.plan.ancestors(step.fingerprint for step in forecast.selected)
        hours = sum(priced[fingerprint].seconds for fingerprint in everything) / 3600
        if hours < forecast.hours(forecast.to_run):
            yield f"--set precision=bf16, a deviation, costs {amount(hours)} {forecast.machine.unit}-hours"


def _released(forecast: Forecast) -> Iterator[str]:
    """At the recipe's own scale, what the plan costs where it begins with the weights that were released with the recipe."""
    plan, replaced = forecast.plan, [step for step in forecast.to_run if for_weights(step.kind)]
    if plan.scale is not None or len(replaced) in (0, len(forecast.to_run)):
        return
    try:
        sets = (*plan.sets, f"{WEIGHTS}={OFFICIAL}")
        folders = Folders(compile(plan.specs, scale=plan.asked_scale, sets=sets), forecast.images)
        chosen = folders.plan.select(forecast.selector, folders.states)
    except (SpecError, UsageError):
        return  # the recipe has none, or not those of every encoder
    priced = costs(folders.plan, forecast.machine, recompute=forecast.recompute)
    left = [key for key in folders.plan.ancestors(step.fingerprint for step in chosen) if folders.states[key] != "done"]
    hours = f"{amount(sum(priced[key].seconds for key in left) / 3600)} {forecast.machine.unit}-hours"
    steps = f"{counted(len(replaced), 'Step')} of {', '.join(dict.fromkeys(step.stage for step in replaced))}"
    yield f"→ --weights {OFFICIAL} starts from released weights instead of {steps}: {hours}"


def _sharing(forecast: Forecast) -> Iterator[str]:
    """What is saved because cells share what they need, where that is much."""
    alone = seconds_one_by_one(forecast)
    everything = forecast.plan.ancestors(step.fingerprint for step in forecast.selected)
    together = sum(forecast.seconds[fingerprint] for fingerprint in everything)
    saved = amount((alone - together) / 3600)
    if alone > 1.05 * together and saved != "0.00":
        times = f"run one by one, the cells cost {fixed(alone / together, 1)} times as much"
        yield f"sharing saves {saved} {forecast.machine.unit}-hours: {times}"


def seconds_one_by_one(forecast: Forecast) -> float:
    """Seconds if every selected Step, those made for others apart, were run alone with everything it needs."""
    cells = [step for step in forecast.selected if not KINDS[step.kind].for_others] or forecast.selected
    return sum(forecast.seconds[key] for step in cells for key in forecast.plan.ancestors([step.fingerprint]))


def _reasons(forecast: Forecast) -> Iterator[str]:
    """Why Steps run that are more than new: failed, interrupted, changed; the others are counted."""
    to_run = [
        (step, forecast.decisions[step.fingerprint])
        for step in forecast.plan.steps
        if forecast.decisions[step.fingerprint].runs
    ]
    special = [(step, decision) for step, decision in to_run if decision.state != "new" or decision.changes]
    for step, decision in special[:_REASONS]:
        yield f"  {step.id}: {decision.why}"
    if len(special) > _REASONS:
        yield f"  ... and {len(special) - _REASONS} more (--format json shows all)"


def stale_warning(forecast: Forecast) -> Iterator[str]:
    """What a person is told of Steps that saw other images."""
    if forecast.stale:
        yield f"✗ {counted(len(forecast.stale), 'Step')} stale: {forecast.images.named(forecast.stale)} have changed since;"
        yield f"  {advice(forecast.stale, forecast.images.store)}"
