"""What it is worth that all tables and figures are one plan: cells that each Step serves, hours against a script for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simclr_spec.cli.show.columns import aligned
from simclr_spec.core.words import amount, counted, fixed
from simclr_spec.plan import Plan, Step, compile
from simclr_spec.plan.overrides import concerning
from simclr_spec.store.forecast import Forecast

_MOST = 5
"""Steps that serve the most cells."""


def serving(forecast: Forecast, serves: Mapping[Step, int], reports: Sequence[str]) -> str:
    """Of the selected Steps, and their hours from nothing against a script for each spec that has its own checkpoints only."""
    plan, unit = forecast.plan, forecast.machine.unit
    together = _hours(forecast, plan)
    alone = [hours for spec in plan.specs if (hours := _hours(forecast, _alone(plan, spec)))]
    ordered = sorted(((step, serves[step]) for step in forecast.selected), key=lambda item: -item[1])
    few, many, apart = ordered[-1][1], ordered[0][1], sum(alone)
    scripts = f"a script for each of {counted(len(alone), 'spec')}"
    lines = [
        f"a Step serves {few:,} to {counted(many, 'cell')} of {counted(len(reports), 'report')}; the most serve",
        *aligned([["cells", "Step"], *([str(count), step.id] for step, count in ordered[:_MOST])], "  "),
        f"one plan costs {amount(together)} {unit}-hours; {scripts}, which uses its own checkpoints again, {amount(apart)}: "
        f"{fixed(apart / together, 1)} times as much",
    ]
    return "\n".join(lines)


def _alone(plan: Plan, spec: str) -> Plan:
    return compile(spec, scale=plan.asked_scale, sets=concerning(plan.sets, [spec]))


def _hours(forecast: Forecast, plan: Plan) -> float:
    """Of the selected Steps that are in this plan, and of all that they need."""
    chosen = {step.fingerprint for step in forecast.selected} & plan.by_fingerprint.keys()
    return sum(forecast.seconds[key] for key in plan.ancestors(chosen)) / 3600
