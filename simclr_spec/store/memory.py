"""Whether a batch of each Step fits where it would run: `plan` tells it, `run` refuses. An estimate, as all of the bill is.

Every runner of today gives a Step one slot: one GPU, or cores that share the memory of this computer.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simclr_spec.core.errors import UsageError
from simclr_spec.core.words import counted, number
from simclr_spec.language.machine import Machine
from simclr_spec.plan import Step
from simclr_spec.plan.cost import Cost, cost, work_of
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
    steps = [step for step in forecast.to_run if forecast.costs[step.fingerprint].memory > room]
    if not steps:
        return ""
    verb, each = ("does", "it") if len(steps) == 1 else ("do", "each")
    which = f"{counted(len(steps), 'Step')} ({_by_stage(steps)})"
    sentence = f"{which} {verb} not fit {place}, which is what this runner gives {each}"
    return f"{sentence}. {_recompute(forecast, steps, room)}{_remedy(forecast, steps, room)}"


def _by_stage(steps: Sequence[Step]) -> str:
    """`13 pretrain, 2 finetune`."""
    return ", ".join(f"{count:,} {stage}" for stage, count in Counter(step.stage for step in steps).items())


def _recompute(forecast: Forecast, steps: Sequence[Step], room: float) -> str:
    """The runner's field that makes Steps fit, and changes none; empty where it does not, or is on."""
    if forecast.recompute:
        return ""
    fitting = [step for step in steps if _cost(forecast, step, recompute=True).memory <= room]
    if not fitting:
        return ""
    all_of_them, some = "it" if len(steps) == 1 else "them", f"{len(fitting):,} of them ({_by_stage(fitting)})"
    which = all_of_them if len(fitting) == len(steps) else some
    return f"`recompute = true` in the runner makes {which} fit, for up to a third more time. "


def _remedy(forecast: Forecast, steps: Sequence[Step], room: float) -> str:
    stages: dict[str, list[Step]] = {}
    for step in steps:
        stages.setdefault(step.stage, []).append(step)
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
    return _cost(forecast, step, recompute=forecast.recompute, micro_batch=micro_batch).memory <= room


def _cost(forecast: Forecast, step: Step, *, recompute: bool, **changes: Any) -> Cost:
    return cost(work_of(forecast.plan, step, **changes), forecast.machine, recompute=recompute)
