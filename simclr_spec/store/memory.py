"""Whether a batch of each Step fits where it would run, and can be shared there: `plan` tells it, `run` refuses.

The memory is an estimate, as all of the bill is. Devices that share a batch share its activations; weights and optimizer each
has for itself. GPUs have memory of their own; cores share that of their computer.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from simclr_spec.core.errors import UsageError
from simclr_spec.core.words import counted, number
from simclr_spec.plan import Step
from simclr_spec.plan.cost import Cost, cost, work_of
from simclr_spec.stages.common import TrainingConfig
from simclr_spec.store.forecast import Forecast

CGROUP = Path("/sys/fs/cgroup/memory.max")


def refuse_what_does_not_fit(forecast: Forecast) -> None:
    """Raises UsageError, a line for each cause, where a Step needs more than it gets, or cannot share its batch."""
    if found := list(misfits(forecast)):
        raise UsageError("\n".join(["nothing started:", *found] if len(found) > 1 else [f"nothing started: {found[0]}"]))


def misfits(forecast: Forecast) -> Iterator[str]:
    """What a person must change before the plan can run."""
    yield from _uneven(forecast)
    if steps := [step for step in forecast.to_run if not _fits(forecast, step, forecast.costs[step.fingerprint])]:
        yield _crowded(forecast, steps)


def _uneven(forecast: Forecast) -> Iterator[str]:
    """Steps whose batch is no multiple of their processes, which share it equally."""
    found: dict[str, list[Step]] = {}
    for step in forecast.to_run:
        devices, config = forecast.devices(step), step.config
        if isinstance(config, TrainingConfig) and (size := config.schedule(config.examples).micro_batch) % devices:
            what = "batch" if config.micro_batch is None else "micro_batch"
            where = forecast.runner.devices_said(step.coordinates)
            sentence = (
                f"a {what} of {size} cannot be shared equally by the {devices} processes that {where} of the runner gives"
            )
            found.setdefault(sentence, []).append(step)
    for sentence, steps in found.items():
        each = "it" if len(steps) == 1 else "each"
        yield f"{_which(steps)}: {sentence} {each}; give them a number that divides it"


def _crowded(forecast: Forecast, steps: Sequence[Step]) -> str:
    """Which Steps do not fit, and what would."""
    places: dict[str, list[Step]] = {}
    for step in steps:
        places.setdefault(_place(forecast, step), []).append(step)
    sentences = []
    for place, some in places.items():
        verb, each = ("does", "it") if len(some) == 1 else ("do", "each")
        sentences.append(f"{_which(some)} {verb} not fit {place}, which is what this runner gives {each}. ")
    return f"{''.join(sentences)}{_recompute(forecast, steps)}{_remedy(forecast, steps)}"


def _which(steps: Sequence[Step]) -> str:
    """`15 Steps (13 pretrain, 2 finetune)`."""
    return f"{counted(len(steps), 'Step')} ({_by_stage(steps)})"


def _by_stage(steps: Sequence[Step]) -> str:
    return ", ".join(f"{count:,} {stage}" for stage, count in Counter(step.stage for step in steps).items())


def _recompute(forecast: Forecast, steps: Sequence[Step]) -> str:
    """The runner's field that makes Steps fit, and changes none; empty where it does not, or is on."""
    if forecast.recompute:
        return ""
    fitting = [step for step in steps if _fits(forecast, step, _cost(forecast, step, recompute=True))]
    if not fitting:
        return ""
    all_of_them, some = "it" if len(steps) == 1 else "them", f"{len(fitting):,} of them ({_by_stage(fitting)})"
    which = all_of_them if len(fitting) == len(steps) else some
    return f"`recompute = true` in the runner makes {which} fit, for up to a third more time. "


def _remedy(forecast: Forecast, steps: Sequence[Step]) -> str:
    stages: dict[str, list[Step]] = {}
    for step in steps:
        stages.setdefault(step.stage, []).append(step)
    fitting = {stage: _micro_batch(forecast, steps) for stage, steps in stages.items()}
    sets = " ".join(f"--set {stage}.micro_batch={size}" for stage, size in fitting.items() if size)
    never = [stage for stage, size in fitting.items() if not size]
    smaller = f"Micro-batches fit, as a deviation: BN then sees no whole batch ({sets})"
    larger = _larger(forecast, [step for step in steps if step.stage in never or not never])
    if not sets:
        return f"No micro_batch makes them fit: it takes {larger}"
    return f"{smaller}; or take {larger}" if not never else f"{smaller}; and it takes, for {', '.join(never)}, {larger}"


def _larger(forecast: Forecast, steps: Sequence[Step]) -> str:
    """What would hold a whole batch."""
    if forecast.machine.unit == "core" and forecast.runner.node_gib(steps[0].coordinates):
        return "a runner that gives more memory_gib"
    most: dict[str, int] = {}
    for step in steps:
        most[step.stage] = max(most.get(step.stage, 0), forecast.costs[step.fingerprint].machines)
    many = ", ".join(f"{count} for {stage}" for stage, count in most.items() if count)
    gpus = f"that gives more GPUs ({many}), or " if forecast.machine.unit == "GPU" and many else ""
    return f"a runner {gpus}whose `machine` has more memory_gib"


def _fits(forecast: Forecast, step: Step, priced: Cost) -> bool:
    devices = forecast.devices(step)
    if forecast.machine.unit == "GPU":
        return priced.on_each(devices) <= forecast.machine.room
    return priced.on_each(devices) * devices / forecast.runner.nodes(step.coordinates) <= _room(forecast, step)


def _room(forecast: Forecast, step: Step) -> float:
    """Bytes of a computer whose cores a Step gets. A machine file of one's own may promise more than this computer has."""
    gib = forecast.runner.node_gib(step.coordinates)
    return max(forecast.machine.room, _memory()) if gib is None else gib * 2**30


def _place(forecast: Forecast, step: Step) -> str:
    machine, devices = forecast.machine, forecast.devices(step)
    if machine.unit == "GPU":
        memory = f"{number(machine.memory_gib)} GiB"
        return f"one {machine.title} ({memory})" if devices == 1 else f"{devices} × {machine.title} ({memory} each)"
    whose = "this computer" if forecast.runner.node_gib(step.coordinates) is None else "a node"
    return f"the memory of {whose} ({number(_room(forecast, step) / 2**30, 3)} GiB)"


def _memory() -> int:
    """Bytes of this computer, or of the container that we are in."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # no container, or one without a limit
        found = min(found, int(CGROUP.read_text()))
    return found


def _micro_batch(forecast: Forecast, steps: Sequence[Step]) -> int | None:
    """The largest power of two with which each of the Steps fits."""
    unlike = {(forecast.costs[step.fingerprint], forecast.devices(step)): step for step in steps}.values()
    sizes = (1 << power for power in range(12, 0, -1))
    return next((size for size in sizes if all(_fits_with(forecast, step, size) for step in unlike)), None)


def _fits_with(forecast: Forecast, step: Step, micro_batch: int) -> bool:
    config = step.config
    if not isinstance(config, TrainingConfig) or config.schedule(config.examples).batch % micro_batch:
        return False
    priced = _cost(forecast, step, recompute=forecast.recompute, micro_batch=micro_batch)
    return micro_batch % forecast.devices(step) == 0 and _fits(forecast, step, priced)


def _cost(forecast: Forecast, step: Step, *, recompute: bool, **changes: Any) -> Cost:
    return cost(work_of(forecast.plan, step, **changes), forecast.machine, recompute=recompute)
