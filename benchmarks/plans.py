"""Large plans, side by side in one run: ours of 1,000 and 10,000 Steps, Snakemake's dry run of the same graph, a full store.

    python -m benchmarks.plans [RUNS] [SNAKEMAKE]

SNAKEMAKE is its executable, in an environment of its own; without one on the PATH its columns are left out. Each run is a
fresh process; medians of alternating runs.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.startup import medians
from simclr_spec.plan import compile
from simclr_spec.store.layout import Store

SECONDS = {"plan of 1,000 Steps": 0.6, "plan of 10,000 Steps": 2.0, "plan of 10,000 Steps, all done": 2.0}
"""Longest wall-clock times that we accept."""

SPEC = """
title = "Synthetic"
recipe = "simclrv2"
scale = "digits"
encoders = {{ product = {{ depth = [18, 34, 50, 101, 152], width = [1, 2] }} }}
seeds = {seeds}

[stages.pretrain]
kind = "pretrain"

[stages.finetune]
kind = "finetune"
from = "pretrain"
labels_per_class = [1, 2, 3, 4, 5, 6, 7, 8, 9]
"""
SNAKEFILE = """
rule all:
    input: expand("finetune/{{one}}-{{labels}}", one=range({count}), labels=range(1, 10))
rule pretrain:
    output: "pretrain/{{one}}"
    shell: "train {{output}}"
rule finetune:
    input: "pretrain/{{one}}"
    output: "finetune/{{one}}-{{labels}}"
    shell: "train {{input}} {{output}}"
"""


def write(folder: Path, steps: int) -> Path:
    """One tenth are pretrainings, each with nine fine-tunings: as a spec, and as a Snakefile."""
    place = folder / str(steps)
    place.mkdir()
    (place / "spec.toml").write_text(SPEC.format(seeds=list(range(steps // 100))))
    (place / "Snakefile").write_text(SNAKEFILE.format(count=steps // 10))
    assert len(compile([str(place / "spec.toml")]).steps) == steps
    return place


def finish(store: Path, spec: Path) -> None:
    """Run folders of the whole plan, each with its step.json and result.json."""
    for step in compile([str(spec)]).steps:
        folder = Store(store).folder(step.id)
        folder.path.mkdir(parents=True)
        written = {"fingerprint": step.fingerprint, "kind": step.kind, "label": step.label, "params": step.params}
        folder.step.write_text(json.dumps({**written, "coordinates": step.coordinates, "needs": {}}))
        folder.result.write_text(json.dumps({"fingerprint": step.fingerprint, "seconds": 1.0}))


def commands(folder: Path, snakemake: str | None) -> dict[str, list[str]]:
    """What is measured."""
    script = shutil.which("simclr-spec", path=str(Path(sys.executable).parent)) or sys.exit("simclr-spec is not installed here")
    plan = [sys.executable, script, "plan"]
    chosen: dict[str, list[str]] = {}
    for steps in (1_000, 10_000):
        place = write(folder, steps)
        chosen[f"plan of {steps:,} Steps"] = [*plan, str(place / "spec.toml")]
        if snakemake:
            dry = ["--dry-run", "--quiet", "all", "--cores", "1", "--directory", str(place)]
            chosen[f"Snakemake, {steps:,} jobs"] = [snakemake, "--snakefile", str(place / "Snakefile"), *dry]
    finish(folder / "store", folder / "10000" / "spec.toml")
    chosen["plan of 10,000 Steps, all done"] = [*plan, str(folder / "10000" / "spec.toml"), "--store", str(folder / "store")]
    return chosen


def main(runs: int = 5, snakemake: str | None = None) -> int:
    """Prints a table; 1 when a limit is not met."""
    snakemake = shutil.which(snakemake or "snakemake")
    with tempfile.TemporaryDirectory() as name:
        chosen = commands(Path(name), snakemake)
        found = medians(chosen, name, runs)
    print(f"{'':<32}{'wall s':>9}{'limit':>8}{'CPU s':>9}")
    late = False
    for key, (cpu, wall) in found.items():
        limit = SECONDS.get(key)
        late |= limit is not None and wall > limit
        print(f"{key:<32}{wall:>9.3f}{limit or '':>8}{cpu:>9.3f}")
    if snakemake:
        told = subprocess.run([snakemake, "--version"], check=True, capture_output=True, text=True).stdout.strip()
        print(f"Snakemake {told}, its dry run of the same graph")
    else:
        print("Snakemake is not here: left out (name its executable as the second argument)")
    print(
        f"medians of {runs} alternating runs; Python {platform.python_version()}; {platform.machine()}, {os.cpu_count()} cores"
    )
    print(f"load {os.getloadavg()[0]:.1f}; {time.strftime('%F')}")
    return int(late)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 5, *sys.argv[2:3]))
