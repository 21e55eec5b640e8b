"""A plan in a file: as JSON (docs/plan-json.md), and as a graph for Graphviz."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path

from simclr_spec.cli.show.plan_table import seconds_one_by_one
from simclr_spec.core.errors import UsageError
from simclr_spec.core.files import write_output
from simclr_spec.language.declared import is_path
from simclr_spec.plan import Step
from simclr_spec.plan.departures import assumptions, deviations
from simclr_spec.store.forecast import Forecast


def as_json(forecast: Forecast, serves: Mapping[Step, int] | None = None) -> str:
    """The contract of docs/plan-json.md; `serves`: cells of the paper's tables and figures that each Step serves."""
    steps = []
    for step in forecast.selected:
        decision, price = forecast.decisions[step.fingerprint], forecast.costs[step.fingerprint]
        steps.append(
            {
                "id": step.id,
                "fingerprint": step.fingerprint,
                "stage": step.stage,
                "kind": step.kind,
                "label": step.label,
                "coordinates": dict(step.coordinates),
                "needs": dict(step.needs),
                "state": decision.state,
                "runs": decision.runs,
                "why": decision.why,
                "params": step.params,
                "cost": {**dataclasses.asdict(price), "seconds": round(forecast.seconds[step.fingerprint], 3)},
                **({"cells": serves[step]} if serves else {}),
            }
        )
    running = forecast.to_run
    totals = {
        "steps": len(forecast.selected),
        "asked": forecast.plan.asked,
        "runs": len(running),
        "flops": sum(forecast.costs[step.fingerprint].flops for step in running),
        "hours": round(forecast.hours(running), 6),
        "machine": forecast.machine.title,
        "recompute": forecast.recompute,
        "disk": sum(forecast.costs[step.fingerprint].disk for step in running),
        "hours_one_by_one": round(seconds_one_by_one(forecast) / 3600, 6),
        "assumptions": len(assumptions(forecast.plan.steps)),
        "deviations": len(deviations(forecast.plan.steps)),
    }
    plan = forecast.plan
    head = {"format": 1, "specs": plan.specs, "scale": plan.scale, "asked_scale": plan.asked_scale, "sets": plan.sets}
    return json.dumps(
        {**head, "digest": forecast.digest, "steps": steps, "totals": totals}, indent=1, ensure_ascii=False, allow_nan=False
    )


def as_dot(forecast: Forecast) -> str:
    """For `dot -Tsvg`: one node per selected Step, an edge from each parent."""
    selected = {step.fingerprint for step in forecast.selected}
    lines = ["digraph plan {", "  rankdir=LR; node [shape=box, style=rounded];"]
    for step in forecast.selected:
        style = ', style="rounded,filled", fillcolor=grey90' if forecast.decisions[step.fingerprint].state == "done" else ""
        lines.append(f'  "{step.id}" [label="{step.stage}\\n{step.label}"{style}];')
        parents = [forecast.plan.by_fingerprint[parent] for parent in step.needs.values() if parent in selected]
        lines += [f'  "{parent.id}" -> "{step.id}";' for parent in parents]
    return "\n".join([*lines, "}"])


def expected_digest(text: str) -> str:
    """The digest that --expect means: itself, or that of the file which `plan -o` wrote."""
    if re.fullmatch("[0-9a-f]{64}", text):
        return text
    try:
        plan = json.loads(Path(text).read_bytes())
        if plan["format"] == 1:
            return str(plan["digest"])
    except OSError:
        raise UsageError(f"--expect {text}: neither a digest nor a file; `simclr-spec plan SPEC -o FILE` writes one") from None
    except (ValueError, TypeError, KeyError):
        pass
    raise UsageError(f"--expect {text}: no plan; `simclr-spec plan SPEC -o FILE` writes one")


def write(forecast: Forecast, file: str, serves: Mapping[Step, int] | None = None) -> None:
    """The plan as JSON; `run --expect` compares its digest."""
    if Path(file).resolve() in {Path(source).resolve() for source in _made_from(forecast) if is_path(source)}:
        raise UsageError(f"{file} is one of the files that this plan is made from: name another for the plan")
    write_output(file, as_json(forecast, serves) + "\n")


def _made_from(forecast: Forecast) -> set[str]:
    """Specs, scales, recipes and data sets, by name or path."""
    settings = {setting for step in forecast.plan.steps for setting in step.shared.values()}
    files = {setting.document.file for setting in settings if setting.document}
    return files.union(forecast.plan.specs, [forecast.plan.asked_scale] if forecast.plan.asked_scale else [])
