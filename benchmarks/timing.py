"""What the benchmarks share: interleaved CPU times of one thread, peak memory of a fresh process, a line about the machine."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp


def cpu_seconds(runs: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median CPU time of each, after one warm-up; interleaved, in reversed order on every other pass."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for repeat in range(repeats):
        for name in list(runs) if repeat % 2 else reversed(list(runs)):
            start = time.process_time()
            runs[name]()
            times[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def peak_mib(run: Callable[..., object], *args: object) -> float:
    """Growth of the resident set over `run(*args, False)`, in a fresh process, after `run(*args, True)`."""
    context = mp.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_measure, args=(queue, run, args))
    process.start()
    found: float = queue.get()
    process.join()
    return found


def _measure(queue: Any, run: Callable[..., object], args: tuple[object, ...]) -> None:
    torch.set_num_threads(1)
    run(*args, True)
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew (Linux)
    before = _high_water_kib()
    run(*args, False)
    queue.put((_high_water_kib() - before) / 1024)


def _high_water_kib() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def setting(*packages: str) -> str:
    """Versions and processor, for a dated result."""
    names = [f"{name} {installed(name)}" for name in ("torch", *packages)]
    return f"{', '.join(names)}; Python {platform.python_version()}; {platform.machine()}, 1 thread; {time.strftime('%F')}"


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
