"""CPU time of commands that train nothing, relative to `python -c pass`: the cost of looking.

Each run is a fresh process; user + system time of the process and its children; medians of alternating runs in one go.

    python benchmarks/startup.py [RUNS]

`run quickstart` needs a finished quickstart in ./runs (or $SIMCLR_SPEC_STORE) and is left out without one.
"""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

from simclr_spec.plan import compile
from simclr_spec.store.layout import Store

LIMITS = {"--help": 6.5, "plan quickstart": 28.0, "plan table1": 28.0}
"""Largest ratios that we accept."""
SECONDS = 2.0
"""Longest wall-clock time of a `run quickstart` that has nothing to do."""


def commands(script: str) -> dict[str, list[str]]:
    """What is measured, the yardstick first; all under one interpreter, so that only what they load differs."""
    chosen = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "--help": [sys.executable, script, "--help"],
        "plan quickstart": [sys.executable, script, "plan", "quickstart"],
        "plan table1": [sys.executable, script, "plan", "table1"],
    }
    store = Store(Path(os.environ.get("SIMCLR_SPEC_STORE", "runs")))
    if all(store.folder(step.id).done for step in compile(["quickstart"]).steps):
        chosen["run quickstart, again"] = [sys.executable, script, "run", "quickstart", "--store", str(store.path.absolute())]
    return chosen


def measure(command: list[str], folder: str) -> tuple[float, float]:
    """(CPU, wall-clock) seconds of one fresh process, which must succeed; it compiles into `folder` what it loads first."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = folder
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def medians(chosen: dict[str, list[str]], folder: str, runs: int) -> dict[str, tuple[float, float]]:
    """Median (CPU, wall-clock) seconds of every command, taking turns; a first pass that warms the caches does not count."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in chosen}
    for _ in range(runs + 1):
        for name, command in chosen.items():
            times[name].append(measure(command, folder))
    return {name: (median(cpu for cpu, _ in all_[1:]), median(wall for _, wall in all_[1:])) for name, all_ in times.items()}


def main(runs: int = 15) -> int:
    """Prints a table; 1 when a limit is not met."""
    script = shutil.which("simclr-spec", path=str(Path(sys.executable).parent)) or sys.exit("simclr-spec is not installed here")
    chosen = commands(script)
    with tempfile.TemporaryDirectory() as folder:
        found = medians(chosen, folder, runs)
    base = found["python -c pass"][0]
    print(f"{'':<24}{'CPU ms':>8}{'ratio':>8}{'limit':>8}{'wall ms':>9}")
    late = False
    for name, (cpu, wall) in found.items():
        limit = LIMITS.get(name)
        late |= (limit is not None and cpu / base > limit) or (name.startswith("run ") and wall > SECONDS)
        print(f"{name:<24}{1000 * cpu:>8.1f}{cpu / base:>8.2f}{limit or '':>8}{1000 * wall:>9.1f}")
    packages = ", ".join(f"{name} {version(name)}" for name in ("simclr-spec", "click", "rich", "jsonschema"))
    print(f"medians of {runs} alternating runs; Python {platform.python_version()}, {packages}")
    print(f"{platform.machine()}, {os.cpu_count()} cores; {time.strftime('%F')}")
    return int(late)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
