"""The plan behind the tables, by stage: how much of it has run, what that took, and what the rest may take."""

from __future__ import annotations

from collections.abc import Sequence

from simclr_spec.core.words import amount, counted
from simclr_spec.language.machine import read_machine
from simclr_spec.plan import Plan
from simclr_spec.plan.cost import costs
from simclr_spec.report.page.markup import Html, element, folded, table
from simclr_spec.report.page.steps import Known, Steps
from simclr_spec.report.table import Table

HEADS = ("Stage", "Steps", "done", "failed", "not finished", "device-hours spent", "hours to go")


def section(tables: Sequence[Table], steps: Steps) -> Html:
    """Of each plan, since tables may share one; folded where there are several."""
    plans = {table.plan.digest: table.plan for table in tables}
    parts = (_stages(plan, steps, folds=len(plans) > 1) for plan in plans.values())
    return element("section", element("h2", "The plan", id="plan:title"), *parts, id="plan", aria_labelledby="plan:title")


def _stages(plan: Plan, steps: Steps, *, folds: bool) -> Html:
    shown = [known for step in plan.steps if (known := steps.get(step.fingerprint))]
    hours = _estimated(plan)
    stages = dict.fromkeys(known.step.stage for known in shown)
    rows = (_row(stage, [known for known in shown if known.step.stage == stage], hours) for stage in stages)
    estimated = f"; hours to go are estimated for one {plan.machine}" if hours else ""
    inner = table(HEADS, rows, f"Steps by stage{estimated}", class_="plain numbers")
    done = sum(known.state == "done" for known in shown)
    return folded(f"{plan.arguments}: {done:,} of {counted(len(shown), 'Step')} done", inner, open=not folds)


def _row(stage: str, shown: Sequence[Known], hours: dict[str, float]) -> list[str]:
    done = [known for known in shown if known.state == "done"]
    failed = sum(known.state == "failed" for known in shown)
    ahead = sum(hours.get(known.step.fingerprint, 0.0) for known in shown if known.result is None)
    numbers = [len(shown), len(done), failed, len(shown) - len(done) - failed]
    return [stage, *map(str, numbers), amount(sum(map(_spent, shown))), amount(ahead) if hours else "–"]


def _spent(known: Known) -> float:
    """Hours of its devices: GPUs, or cores."""
    if known.result is None:
        return 0.0
    there = known.result["environment"]
    each = 1 if there["accelerator"] == "cuda" else there["threads"]
    return float(known.result["seconds"] / 3600 * there["world_size"] * each)


def _estimated(plan: Plan) -> dict[str, float]:
    """On the machine that the plan names, Step by Step; nothing where its scales name several."""
    if len(plan.machines) > 1:
        return {}
    return {key: each.seconds / 3600 for key, each in costs(plan, read_machine(plan.machine)).items()}
