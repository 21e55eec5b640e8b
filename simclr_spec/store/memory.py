"""Whether a batch of each Step fits where it would run: `plan` tells it, `run` refuses. An estimate, as all of the bill is.

Every runner of today gives a Step one slot: one GPU, or cores that share the memory of this computer.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from simclr_spec.core.errors import UsageError
from simclr_spec.core.words import counted, number
from simclr_spec.language.machine import Machine
from simclr_spec.plan import Step
from simclr_spec.plan.cost import cost, work_of
from simclr_spec.stages.common import TrainingConfig
from simclr_spec.store.forecast import Forecast

CGROUP = Path("/sys/fs/cgroup/memory.max")


def refuse_what_does_not_fit(forecast: Forecast) -> None:
    """Raises UsageError where a Step that would run needs more than a slot has."""
    if refusal := crowded(forecast):
        raise UsageError(f"nothing started: {refusal}")


def crowded(forecast: Forecast) -> str:
    """Which Steps do not fit, and what would; empty where all do."""
    room, place = _room(forecast.machine)
    stages: dict[str, list[Step]] = {}
    for step in forecast.to_run:
        if forecast.costs[step.fingerprint].memory > room:
            stages.setdefault(step.stage, []).append(step)
    if not stages:
        return ""
    count = sum(map(len, stages.values()))
    which = ", ".join(f"{len(steps):,} {stage}" for stage, steps in stages.items())
    verb, each = ("does", "it") if count == 1 else ("do", "each")
    sentence = f"{counted(count, 'Step')} ({which}) {verb} not fit {place}, which is what this runner gives {each}"
    return f"{sentence}. {_remedy(forecast, stages, room)}"


def _remedy(forecast: Forecast, stages: Mapping[str, Sequence[Step]], room: float) -> str:
    fitting = {stage: _micro_batch(forecast, steps, room) for stage, steps in stages.items()}
    sets = " ".join(f"--set {stage}.micro_batch={size}" for stage, size in fitting.items() if size)
    never = ", ".join(stage for stage, size in fitting.items() if not size)
    smaller = f"Micro-batches fit, as a deviation: BN then sees no whole batch ({sets})"
    larger = "a runner whose `machine` has more memory_gib" + (f" for {never}" if sets and never else "")
    if not sets:
        return f"No micro_batch makes them fit: it takes {larger}"
    return f"{smaller}; {'and it takes' if never else 'or take'} {larger}"


def _room(machine: Machine) -> tuple[float, str]:
    """Bytes that a Step may fill, and where. A machine file of one's own may promise more than this computer has."""
    if machine.unit == "GPU":
        return machine.room, f"one {machine.title} ({number(machine.memory_gib)} GiB)"
    room = max(machine.room, _memory())
    return room, f"the memory of this computer ({number(room / 2**30, 3)} GiB)"


def _memory() -> int:
    """Bytes of this computer, or of the container that we are in."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # no container, or one without a limit
        found = min(found, int(CGROUP.read_text()))
    return found


def _micro_batch(forecast: Forecast, steps: Sequence[Step], room: float) -> int | None:
    """The largest power of two with which each of the Steps fits."""
    unlike = {forecast.costs[step.fingerprint]: step for step in steps}.values()
    sizes = (1 << power for power in range(12, 0, -1))
    return next((size for size in sizes if all(_fits(forecast, step, size, room) for step in unlike)), None)


def _fits(forecast: Forecast, step: Step, micro_batch: int, room: float) -> bool:
    config = step.config
    if not isinstance(config, TrainingConfig) or config.schedule(config.examples).batch % micro_batch:
        return False
    return cost(work_of(forecast.plan, step, micro_batch=micro_batch), forecast.machine).memory <= room
