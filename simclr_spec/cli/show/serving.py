"""What it is worth that all tables and figures are one plan: cells that each Step serves, hours against a script for each."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from simclr_spec.cli.show.columns import aligned
from simclr_spec.core.words import amount, counted, fixed, number
from simclr_spec.plan import Plan, Step, compile
from simclr_spec.plan.overrides import concerning
from simclr_spec.report.addresses import of_the_paper, served
from simclr_spec.store.forecast import Forecast

_MOST = 5
"""Steps that serve the most cells."""


def served_cells(plan: Plan) -> Mapping[Step, int]:
    """How many cells of the paper's tables and figures need each Step, itself or through others."""
    return served(plan, of_the_paper())


def serving(forecast: Forecast, serves: Mapping[Step, int]) -> str:
    """And hours of everything from nothing, against a script for each spec that has its own checkpoints only."""
    plan, unit = forecast.plan, forecast.machine.unit
    together, apart = sum(forecast.seconds.values()) / 3600, sum(_hours(forecast, spec) for spec in plan.specs)
    ordered = sorted(serves.items(), key=lambda item: -item[1])
    few, many, middle = ordered[-1][1], ordered[0][1], statistics.median(serves.values())
    reports, scripts = counted(len(of_the_paper()), "report"), f"a script for each of {counted(len(plan.specs), 'spec')}"
    lines = [
        f"a Step serves {few:,} to {counted(many, 'cell')} of {reports}, half of them {number(middle)} or more; the most serve",
        *aligned([["cells", "Step"], *([str(count), step.id] for step, count in ordered[:_MOST])], "  "),
        f"one plan costs {amount(together)} {unit}-hours; {scripts}, which uses its own checkpoints again, {amount(apart)}: "
        f"{fixed(apart / together, 1)} times as much",
    ]
    return "\n".join(lines)


def _hours(forecast: Forecast, spec: str) -> float:
    """Of all Steps of the spec."""
    plan = forecast.plan
    alone = compile(spec, scale=plan.asked_scale, sets=concerning(plan.sets, [spec]))
    return sum(forecast.seconds[step.fingerprint] for step in alone.steps) / 3600
