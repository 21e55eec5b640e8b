"""A plan as a table, as JSON (docs/plan-json.md) and as a graph for Graphviz."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from simclr_spec.coordinates import STATES, State, show
from simclr_spec.errors import UsageError
from simclr_spec.library import is_path
from simclr_spec.plan import UNSCALED_TITLE, Plan, Step
from simclr_spec.plan.cost import costs, likeness
from simclr_spec.room import crowded
from simclr_spec.spec.settings import Setting
from simclr_spec.staleness import advice
from simclr_spec.store import write_output
from simclr_spec.survey import View
from simclr_spec.words import counted, size

T = TypeVar("T")

_REASONS = 12
"""Reasons that the table shows; --format json has all."""
_ENCODERS = 16
"""Encoders that it shows."""


def as_table(view: View) -> str:
    """Steps by stage, what each encoder costs, what is known of the Steps, and what the whole costs."""
    plan, unit = view.plan, view.machine.unit
    scale = plan.scale_title or UNSCALED_TITLE
    encoders = {_encoder(step) for step in view.steps}
    lines = [f"{' + '.join(plan.titles)} · {counted(len(view.steps), 'Step')} · {counted(len(encoders), 'encoder')} · {scale}"]
    states = _states(view)
    head = ["stage", "steps", *states, "ready", "waits", f"{unit}-hours"]
    stages = _grouped(view.steps, lambda step: step.stage)
    stages |= _grouped(view.needed, lambda step: f"needed: {step.stage}")
    rows = [_row(view, stage, members, states) for stage, members in stages.items()]
    if len(stages) > 1:
        rows.append(_row(view, "total", [*view.steps, *view.needed], states))
    lines += _aligned([[*head, *_fit_head(view)], *rows])
    lines += _encoders(view)
    lines += _bill(view)
    lines += _reasons(view)
    lines += stale(view)
    return "\n".join([*lines, *(f"✗ {told}" for told in [crowded(view)] if told)])


def as_list(view: View) -> str:
    """Every selected Step, and those that it needs: state, hours, the coordinates that tell it from the others."""
    shown = {step.fingerprint for step in (*view.steps, *view.needed)}
    steps = [step for step in view.plan.steps if step.fingerprint in shown]
    keys = _telling(view.plan)
    rows = [["state", f"{view.machine.unit}-hours"]]
    rows += [[view.verdicts[step.fingerprint].state, number(view.hours([step]))] for step in steps]
    told = (show({key: step.coordinates[key] for key in keys[step.stage] if key in step.coordinates}) for step in steps)
    return "\n".join(f"{line}  {cell}" for line, cell in zip(_aligned(rows), ["coordinates", *told], strict=True))


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


def _encoders(view: View) -> Iterator[str]:
    """What each of several encoders costs: hours, and the memory that its largest Step needs."""
    encoders = _grouped([*view.steps, *view.needed], _encoder)
    if len(encoders) == 1:
        return
    rows = [["encoder", "steps", f"{view.machine.unit}-hours", "memory", *_fit_head(view)]]
    for name, steps in [*encoders.items()][:_ENCODERS]:
        memory = max(view.costs[step.fingerprint].memory for step in steps)
        rows.append([name, str(len(steps)), number(view.hours(steps)), size(memory), *_fit(view, steps)])
    yield from _aligned(rows)
    if len(encoders) > _ENCODERS:
        yield f"  ... and {len(encoders) - _ENCODERS:,} more (--format json shows all)"


def _states(view: View) -> list[State]:
    """Those that have a column: of some Step, and done; what is new is either ready or waits for another Step."""
    found = {"done", *(view.verdicts[step.fingerprint].state for step in (*view.steps, *view.needed))}
    return [state for state in STATES if state in found and state != "new"]


def _row(view: View, name: str, steps: Sequence[Step], states: Sequence[State]) -> list[str]:
    counts = Counter[str](view.verdicts[step.fingerprint].state for step in steps)
    waits = sum(
        view.verdicts[step.fingerprint].state == "new" and any(view.verdicts[one].runs for one in step.needs.values())
        for step in steps
    )
    in_states = [_some(count) for count in (*(counts[state] for state in states), counts["new"] - waits, waits)]
    return [name, str(len(steps)), *in_states, number(view.hours(steps)), *_fit(view, steps)]


def _fit_head(view: View) -> list[str]:
    """Cores share the memory of their machine: how many hold a batch means nothing."""
    return ["GPUs for a batch"] if view.machine.unit == "GPU" else []


def _fit(view: View, steps: Sequence[Step]) -> list[str]:
    machines = [view.costs[step.fingerprint].machines for step in steps]
    few, many = min(machines), max(machines)
    return [f"{few}" if few == many else f"{few}–{many}"] if view.machine.unit == "GPU" else []


def _some(count: int) -> str:
    return str(count) if count else "–"


def number(value: float) -> str:
    """Three digits that matter, thousands apart: 4,299, 66.8, 0.52, 0."""
    if value == 0:
        return "0"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append(("  " + "  ".join([f"{row[0]:<{widths[0]}}", *cells])).rstrip())
    return lines


def _bill(view: View) -> Iterator[str]:
    running = view.running
    flops = sum(view.costs[step.fingerprint].flops for step in running)
    kept = sum(view.costs[step.fingerprint].disk for step in running)
    unit = view.machine.unit
    if running:
        hours = f"{number(view.hours(running))} {unit}-hours ({view.machine.title})"
        yield f"{counted(len(running), 'Step')} will run: {hours}, {flops:.3g} FLOP, {size(kept)} of weights"
        yield from _assumed_rates(view)
        yield from _sharing(view)
    else:
        yield "Nothing will run." if view.stale else "Everything is done: nothing will run."
    assumed, deviating = assumptions(view.plan.steps), deviations(view.plan.steps)
    told = f"{counted(len(assumed), 'assumption')}, {counted(len(deviating), 'deviation')}"
    yield f"{told} (simclr-spec explain {view.plan.arguments})"


def _assumed_rates(view: View) -> Iterator[str]:
    """Precisions whose rates are a guess that no finished Step has corrected; and what bf16 costs where that is much less."""
    unsure = {step.params["precision"] for step in view.running if likeness(step) not in view.measured}
    for precision in sorted(one for one in unsure if view.machine.rates[one].status == "assumed"):
        yield f"{precision} is priced by assumption ({view.machine.rates[precision].source})"
    if "bf16" not in unsure and view.machine.unit == "GPU":
        priced = costs(view.plan, view.machine, "bf16")
        everything = view.plan.ancestors(step.fingerprint for step in view.steps)
        hours = sum(priced[one].seconds for one in everything) / 3600
        if hours < view.hours(view.running):
            yield f"--set precision=bf16, a deviation, costs {number(hours)} {view.machine.unit}-hours"


def _sharing(view: View) -> Iterator[str]:
    """What is saved because cells share what they need, where that is much."""
    alone = _one_by_one(view)
    together = sum(view.seconds[one] for one in view.plan.ancestors(step.fingerprint for step in view.steps))
    saved = number((alone - together) / 3600)
    if alone > 1.05 * together and saved != "0.00":
        told = f"run one by one, the cells cost {alone / together:.1f} times as much"
        yield f"sharing saves {saved} {view.machine.unit}-hours: {told}"


def _one_by_one(view: View) -> float:
    """Seconds if every selected Step, pretrainings for others apart, were run alone with everything it needs."""
    cells = [step for step in view.steps if step.kind != "pretrain"] or view.steps
    return sum(view.seconds[one] for step in cells for one in view.plan.ancestors([step.fingerprint]))


def _reasons(view: View) -> Iterator[str]:
    """Why Steps run that are more than new: failed, interrupted, changed; the others are counted."""
    told = [(step, view.verdicts[step.fingerprint]) for step in view.plan.steps if view.verdicts[step.fingerprint].runs]
    special = [(step, verdict) for step, verdict in told if verdict.state != "new" or verdict.changes]
    for step, verdict in special[:_REASONS]:
        yield f"  {step.id}: {verdict.why}"
    if len(special) > _REASONS:
        yield f"  ... and {len(special) - _REASONS} more (--format json shows all)"


def stale(view: View) -> Iterator[str]:
    """What a person is told of Steps that saw other images."""
    if view.stale:
        yield f"✗ {counted(len(view.stale), 'Step')} stale: {view.images.told(view.stale)} have changed since;"
        yield f"  {advice(view.stale, view.images.store)}"


@dataclass(frozen=True)
class Note:
    """One deviation or assumption, and the stages that have it."""

    name: str
    stages: tuple[str, ...]
    setting: Setting


def deviations(steps: Iterable[Step]) -> list[Note]:
    """Values that differ from the recipe, each once with the stages that have it."""
    return _notes(steps, deviating=True)


def assumptions(steps: Iterable[Step]) -> list[Note]:
    """Values that paper and code leave open."""
    return _notes(steps, deviating=False)


def _notes(steps: Iterable[Step], deviating: bool) -> list[Note]:
    found: dict[tuple[Any, ...], tuple[Setting, dict[str, None]]] = {}
    seen: set[tuple[Any, ...]] = set()
    for step in steps:
        same = (
            step.stages,
            id(step.shared),
            *((name, id(setting)) for name, setting in step.own.items() if setting.layer != "axis" or setting.recipe),
        )
        if same in seen:
            continue
        seen.add(same)
        for name, setting in step.origins.items():
            if setting.recipe is None and setting.status != "assumed":
                continue  # nearly all
            if setting.is_deviation if deviating else setting.is_assumption:
                before = setting.recipe.value if setting.recipe else None
                key = (name, str(setting.value), str(before), setting.document, setting.path)
                found.setdefault(key, (setting, {}))[1].update(dict.fromkeys(step.stages))
    return [Note(key[0], tuple(stages), setting) for key, (setting, stages) in found.items()]


def as_json(view: View) -> str:
    """The contract of docs/plan-json.md."""
    steps = []
    for step in view.steps:
        verdict, price = view.verdicts[step.fingerprint], view.costs[step.fingerprint]
        steps.append(
            {
                "id": step.id,
                "fingerprint": step.fingerprint,
                "stage": step.stage,
                "kind": step.kind,
                "label": step.label,
                "coordinates": dict(step.coordinates),
                "needs": dict(step.needs),
                "state": verdict.state,
                "runs": verdict.runs,
                "why": verdict.why,
                "params": step.params,
                "cost": {**dataclasses.asdict(price), "seconds": round(view.seconds[step.fingerprint], 3)},
            }
        )
    running = view.running
    totals = {
        "steps": len(view.steps),
        "asked": view.plan.asked,
        "runs": len(running),
        "flops": sum(view.costs[step.fingerprint].flops for step in running),
        "hours": round(view.hours(running), 6),
        "machine": view.machine.title,
        "disk": sum(view.costs[step.fingerprint].disk for step in running),
        "hours_one_by_one": round(_one_by_one(view) / 3600, 6),
        "assumptions": len(assumptions(view.plan.steps)),
        "deviations": len(deviations(view.plan.steps)),
    }
    plan = view.plan
    head = {"format": 1, "specs": plan.specs, "scale": plan.scale, "asked_scale": plan.asked_scale, "sets": plan.sets}
    return json.dumps(
        {**head, "digest": view.digest, "steps": steps, "totals": totals}, indent=1, ensure_ascii=False, allow_nan=False
    )


def as_dot(view: View) -> str:
    """For `dot -Tsvg`: one node per selected Step, an edge from each parent."""
    shown = {step.fingerprint for step in view.steps}
    lines = ["digraph plan {", "  rankdir=LR; node [shape=box, style=rounded];"]
    for step in view.steps:
        style = ', style="rounded,filled", fillcolor=grey90' if view.verdicts[step.fingerprint].state == "done" else ""
        lines.append(f'  "{step.id}" [label="{step.stage}\\n{step.label}"{style}];')
        parents = [view.plan.by_fingerprint[parent] for parent in step.needs.values() if parent in shown]
        lines += [f'  "{parent.id}" -> "{step.id}";' for parent in parents]
    return "\n".join([*lines, "}"])


def expected(text: str) -> str:
    """The digest that --expect means: itself, or that of the file which `plan -o` wrote."""
    if re.fullmatch("[0-9a-f]{64}", text):
        return text
    try:
        plan = json.loads(Path(text).read_bytes())
        if plan["format"] == 1:
            return str(plan["digest"])
    except FileNotFoundError:
        raise UsageError(f"--expect {text}: neither a digest nor a file; `simclr-spec plan SPEC -o FILE` writes one") from None
    except (ValueError, TypeError, KeyError):
        pass
    raise UsageError(f"--expect {text}: no plan; `simclr-spec plan SPEC -o FILE` writes one")


def write(view: View, file: str) -> None:
    """The plan as JSON; `run --expect` compares its digest."""
    if Path(file).resolve() in {Path(one).resolve() for one in _made_from(view) if is_path(one)}:
        raise UsageError(f"{file} is one of the files that this plan is made from: name another for the plan")
    write_output(file, as_json(view) + "\n")


def _made_from(view: View) -> set[str]:
    """Specs, scales, recipes and data sets, by name or path."""
    layers = {id(step.shared): step.shared for step in view.plan.steps}.values()
    files = {setting.document.file for layer in layers for setting in layer.values() if setting.document}
    return files.union(view.plan.specs, [view.plan.asked_scale] if view.plan.asked_scale else [])
