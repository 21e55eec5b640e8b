"""A plan as a table, as JSON (docs/plan-json.md) and as a graph for Graphviz."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simclr_spec.errors import UsageError
from simclr_spec.plan import Step
from simclr_spec.plan.cost import one_by_one
from simclr_spec.spec.settings import Setting
from simclr_spec.survey import View

_REASONS = 12
"""Reasons that the table shows; --format json has all."""


def as_table(view: View) -> str:
    """Steps by stage, what is known of them, and what the whole costs."""
    plan, machine = view.plan, view.machine
    scale = plan.scale_title or "the recipe's own scale"
    encoders = {tuple(step.coordinates.get(key) for key in ("depth", "width", "sk")) for step in view.steps}
    lines = [f"{' + '.join(plan.titles)} · {_count(len(view.steps), 'Step')} · {_count(len(encoders), 'encoder')} · {scale}"]
    rows = [["stage", "steps", "done", "ready", "waits", f"{machine.unit}-hours", f"{machine.unit}s for a batch"]]
    stages: dict[str, list[Step]] = {}
    for step in view.steps:
        stages.setdefault(step.stage, []).append(step)
    rows += [_row(view, stage, members) for stage, members in stages.items()]
    if len(stages) > 1:
        rows.append(_row(view, "total", view.steps))
    lines += _aligned(rows)
    lines += _bill(view)
    lines += _reasons(view)
    return "\n".join(lines)


def _row(view: View, name: str, steps: Sequence[Step]) -> list[str]:
    ready: list[Step] = []
    waits: list[Step] = []
    done = 0
    for step in steps:
        verdict = view.verdicts[step.fingerprint]
        done += verdict.state == "done"
        if verdict.runs:
            blocked = any(view.verdicts[parent].runs for parent in step.needs.values())
            (waits if blocked else ready).append(step)
    machines = [view.costs[step.fingerprint].machines for step in steps]
    few, many = min(machines), max(machines)
    together = f"{few}" if few == many else f"{few}–{many}"
    return [
        name,
        str(len(steps)),
        _some(done),
        _some(len(ready)),
        _some(len(waits)),
        number(view.hours([*ready, *waits])),
        together,
    ]


def _some(count: int) -> str:
    return str(count) if count else "–"


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def number(value: float) -> str:
    """Three digits that matter, thousands apart: 4,299, 66.8, 0.52, 0."""
    if value == 0:
        return "0"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def size(count: float) -> str:
    """Bytes in decimal units."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


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
        hours, weights = f"{number(view.hours(running))} {unit}-hours", size(kept)
        yield f"{_count(len(running), 'Step')} will run: {hours} ({view.machine.title}), {flops:.3g} FLOP, {weights} of weights"
        alone, together = one_by_one(view.plan, view.seconds), sum(view.seconds.values())
        if alone > 1.05 * together:
            saved = f"{number((alone - together) / 3600)} {unit}-hours"
            yield f"sharing saves {saved}: run one by one, the cells cost {alone / together:.1f} times as much"
        crowded = [step for step in running if view.costs[step.fingerprint].machines > 1]
        if crowded:
            which = ", ".join(f"{count} {stage}" for stage, count in Counter(step.stage for step in crowded).items())
            one = f"one {unit} ({view.machine.memory_gib:g} GiB)"
            yield f"✗ {_count(len(crowded), 'Step')} ({which}) need more than {one} for a batch;"
            yield f"  BN must see it whole: micro_batch makes it fit, as a deviation (--set {crowded[0].stage}.micro_batch=256)"
    else:
        yield "Everything is done: nothing will run."
    assumed, deviating = assumptions(view.plan.steps), deviations(view.plan.steps)
    scale = ["--scale", view.plan.asked_scale] if view.plan.asked_scale else []
    names = shlex.join([*view.plan.specs, *scale, *(word for one in view.plan.sets for word in ("--set", one))])
    yield f"{_count(len(assumed), 'assumption')}, {_count(len(deviating), 'deviation')} (simclr-spec explain {names})"


def _reasons(view: View) -> Iterator[str]:
    """Why Steps run that are more than new: failed, interrupted, changed; the others are counted."""
    told = [(step, view.verdicts[step.fingerprint]) for step in view.plan.steps if view.verdicts[step.fingerprint].runs]
    special = [(step, verdict) for step, verdict in told if verdict.state != "new" or verdict.changes]
    for step, verdict in special[:_REASONS]:
        yield f"  {step.id}: {verdict.why}"
    if len(special) > _REASONS:
        yield f"  ... and {len(special) - _REASONS} more (--format json shows all)"


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
        verdict, cost = view.verdicts[step.fingerprint], view.costs[step.fingerprint]
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
                "cost": {**dataclasses.asdict(cost), "seconds": round(view.seconds[step.fingerprint], 3)},
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
        "hours_one_by_one": round(one_by_one(view.plan, view.seconds) / 3600, 6),
        "assumptions": len(assumptions(view.plan.steps)),
        "deviations": len(deviations(view.plan.steps)),
    }
    plan = view.plan
    head = {"format": 1, "specs": plan.specs, "scale": plan.scale, "sets": plan.sets, "digest": view.digest}
    return json.dumps({**head, "steps": steps, "totals": totals}, indent=1, ensure_ascii=False, allow_nan=False)


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


def write(view: View, file: str) -> None:
    """The plan as JSON; `run --expect` compares its digest."""
    try:
        Path(file).write_text(as_json(view) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from None
