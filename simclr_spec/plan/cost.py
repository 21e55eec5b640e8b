"""What a Step costs, before anything runs: parameters, FLOPs, seconds on one machine, memory, disk.

seconds = FLOPs / the machine's rate + traffic of the activations / its bandwidth + train steps x its overhead,
in the precision of the Step. The constants are those of runners/machines/*.toml; finished Steps correct it (see `calibrated`).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from simclr_spec.language.machine import Machine
from simclr_spec.plan.step import Plan, Step
from simclr_spec.stages.kind import Work
from simclr_spec.stages.kinds import KINDS


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one Step, evaluation included."""

    parameters: int
    """trained ones"""
    train_steps: int
    flops: int
    seconds: float
    """of the whole Step on one machine"""
    memory: int
    """bytes for a whole batch at once"""
    state: int
    """of them, of what each device has, however many share the batch"""
    machines: int
    """that hold a whole batch, so that BN sees all of it; 0 where weights alone are too large for one"""
    disk: int
    """bytes of the weights that stay"""

    def on_each(self, devices: int) -> int:
        """Bytes, where so many share each batch."""
        return self.state + math.ceil((self.memory - self.state) / devices)


def work_of(plan: Plan, step: Step, **changes: Any) -> Work:
    """What a Step computes; `changes` are parameters that it shall have instead of its own."""
    parents = {role: plan.by_fingerprint[parent].config for role, parent in step.needs.items()}
    return KINDS[step.kind].work(replace(step.config, **changes), parents)


def cost(work: Work, machine: Machine, *, recompute: bool = False) -> Cost:
    """On a machine, in the precision of the work; with `recompute` for a runner that has activations computed again."""
    if recompute:
        work = work.recomputing()
    rates = machine.rates[work.precision]
    traffic = work.moved * rates.bytes_per_output * (machine.sk_traffic if work.sk else 1.0)
    seconds = work.flops / (rates.tflops * 1e12) + traffic / (machine.terabytes_per_second * 1e12)
    seconds += work.train_steps * machine.step_milliseconds / 1e3
    memory = work.state + round(work.saved * rates.saved_bytes_per_output)
    return Cost(
        parameters=work.parameters,
        train_steps=work.train_steps,
        flops=work.flops,
        seconds=seconds,
        memory=memory,
        state=work.state,
        machines=_machines(work.state, memory - work.state, machine.room),
        disk=work.weights,
    )


def _machines(state: int, shared: int, room: float) -> int:
    """The smallest power of two of them."""
    left = room - state
    return 2 ** max(0, math.ceil(math.log2(max(1, shared) / left))) if left > 0 else 0


def costs(plan: Plan, machine: Machine, precision: str | None = None, *, recompute: bool = False) -> dict[str, Cost]:
    """Fingerprint -> cost of every Step; in another `precision`, if one is given, of those that declare theirs."""
    known: dict[Hashable, Cost] = {}
    by_fingerprint = {}
    for step in plan.steps:
        key = tuple(map(_but_seeds, (step, *(plan.by_fingerprint[parent] for parent in step.needs.values()))))
        if key not in known:
            changes = {"precision": precision} if precision and "precision" in step.params else {}
            known[key] = cost(work_of(plan, step, **changes), machine, recompute=recompute)
        by_fingerprint[step.fingerprint] = known[key]
    return by_fingerprint


def _but_seeds(step: Step) -> Hashable:
    """Equal for Steps that differ in their seeds only; a Setting is equal to itself alone."""
    own = ((name, setting.value) for name, setting in step.own.items() if not name.endswith("seed"))
    return (step.kind, *step.shared.values(), *own)


def calibrated(plan: Plan, costs: Mapping[str, Cost], ratios: Mapping[tuple[str, str], Sequence[float]]) -> dict[str, float]:
    """Seconds of every Step, corrected by the median over finished Steps of its kind and precision.

    `ratios` are measured / estimated."""
    factor = {like: sorted(found)[len(found) // 2] for like, found in ratios.items() if found}
    return {step.fingerprint: costs[step.fingerprint].seconds * factor.get(likeness(step), 1.0) for step in plan.steps}


def likeness(step: Step) -> tuple[str, str]:
    """Kind and precision: what a finished Step says something about."""
    return step.kind, precision_of(step.params)


def precision_of(params: Mapping[str, Any]) -> str:
    """In which a Step with these parameters computes."""
    return str(params.get("precision", Work.precision))
