"""Slots of this machine: a GPU each, else a CPU core (or as many cores as a process has threads)."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from simclr_spec.core.cores import cores
from simclr_spec.core.errors import UsageError
from simclr_spec.core.words import counted
from simclr_spec.language.runner import Local
from simclr_spec.plan import Step


@dataclass(frozen=True)
class Slot:
    """A place for one Step at a time; `gpu` is what CUDA_VISIBLE_DEVICES will say there, None on a CPU."""

    number: int
    gpu: int | str | None = None

    def __str__(self) -> str:
        return f"cpu {self.number}" if self.gpu is None else f"gpu {self.gpu}"


def slots(runner: Local) -> list[Slot]:
    """Never empty. GPUs hidden by CUDA_VISIBLE_DEVICES stay hidden, unless the runner lists ids."""
    if isinstance(runner.slots, tuple):
        if not (visible_gpus() or nvidia_smi("-L")):
            raise UsageError('the runner lists GPUs as its slots, but this machine shows none; set slots = "auto"')
        return [Slot(number, gpu) for number, gpu in enumerate(runner.slots)]
    gpus = visible_gpus()
    if runner.slots == "auto":
        return [Slot(n, gpu) for n, gpu in enumerate(gpus)] or [Slot(n) for n in range(max(1, cores() // runner.threads))]
    if gpus and runner.slots > len(gpus):
        raise UsageError(
            f'the runner wants {runner.slots} slots, but {len(gpus)} GPUs are visible; set slots = "auto" or fewer'
        )
    return [Slot(n, gpus[n] if gpus else None) for n in range(runner.slots)]


def refuse_too_many(runner: Local, places: Sequence[Slot], steps: Iterable[Step]) -> None:
    """Raises UsageError where a Step takes more slots than there are."""
    for step in steps:
        if (processes := runner.share(step.coordinates).processes) > len(places):
            raise UsageError(
                f"{step.kind} {step.label} takes {counted(processes, 'slot')} of the runner, which has {len(places)}: lower "
                "processes, in [resources] or in the rule that matches it, or give the runner more slots"
            )


def visible_gpus() -> Sequence[int | str]:
    """Ids from CUDA_VISIBLE_DEVICES where it is set, else the driver's; MIG instances instead of the GPU that they divide."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        words = [word.strip() for word in listed.split(",")]
        # CUDA itself ignores everything from the first id that is none, such as -1.
        first = next((n for n, word in enumerate(words) if not word or word.startswith("-")), len(words))
        return [int(word) if word.isdigit() else word for word in words[:first]]
    table = nvidia_smi("-L")
    return re.findall(r"UUID: (MIG-[^)]+)", table) or list(range(len(re.findall(r"^GPU \d+:", table, re.MULTILINE))))


def nvidia_smi(*arguments: str) -> str:
    """What it prints; nothing where there is no NVIDIA driver."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        found = subprocess.run(["nvidia-smi", *arguments], capture_output=True, text=True, timeout=20, check=False)
        if found.returncode == 0:
            return found.stdout
    return ""
