"""A plan of 1,000 Steps into the queue of a real Slurm: ours as a few arrays, and submitit's loop of one job per Step.

    python -m benchmarks.submission [SEEDS]

Starts a cluster of its own (as root, with Slurm's packages: `make test-slurm` installs them) whose nodes take no jobs
meanwhile. Each way is a fresh process on an empty queue, from its start to its end; 100 Steps per seed.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.plans import SPEC
from benchmarks.timing import installed
from simclr_spec.plan import compile
from tests.slurm.cluster import Cluster, throwaway
from tests.slurm.tiny import options

SECONDS = 10.0
"""Longest time for 1,000 Steps that we accept."""


def one_by_one(spec: str, folder: str) -> None:
    """As submitit's README does it: an executor, and a job with its dependencies for each Step."""
    import submitit

    executor = submitit.SlurmExecutor(folder)
    jobs: dict[str, str] = {}
    for step in compile([spec]).steps:
        after = ":".join(jobs[parent] for parent in step.needs.values())
        dependency = {"dependency": f"afterok:{after}"} if after else {}
        executor.update_parameters(time=10, mem="1GB", partition="main", additional_parameters=dependency)
        jobs[step.fingerprint] = executor.submit(len, step.id).job_id


def measured(cluster: Cluster, command: list[str], folder: Path) -> tuple[float, int, int]:
    """Seconds, submissions, and jobs in the queue."""
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, env=cluster.environment, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    queued = [row["id"].split("_")[0] for row in cluster.squeue()]
    cluster.run("scancel", "--user=root")
    cluster.wait_until(lambda: not cluster.squeue())
    return seconds, len(set(queued)), len(queued)


def main(seeds: int = 10) -> int:
    """Prints a table; 1 when the limit is not met."""
    with throwaway(accounting=False) as cluster, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (spec := folder / "spec.toml").write_text(SPEC.format(seeds=list(range(seeds))))
        for node in cluster.names:
            cluster.drain_node(node)
        ours = [sys.executable, "-m", "simclr_spec", "run", str(spec), *options(folder), "--store", "runs"]
        loop = f"from benchmarks.submission import one_by_one; one_by_one({str(spec)!r}, 'submitit')"
        print(f"{'':<28}{'seconds':>9}{'submissions':>13}{'jobs':>7}")
        seconds = {}
        for way, command in {"simclr-spec run": ours, "submitit, a job per Step": [sys.executable, "-c", loop]}.items():
            seconds[way], submissions, jobs = measured(cluster, command, folder)
            print(f"{way:<28}{seconds[way]:>9.1f}{submissions:>13}{jobs:>7}", flush=True)
        told = cluster.run("sbatch", "--version").strip()
    mine, theirs = seconds.values()
    versions = f"{told}, submitit {installed('submitit')}, Python {platform.python_version()}"
    print(f"{theirs / mine:.0f} times; {versions}; load {os.getloadavg()[0]:.1f}; {time.strftime('%F')}")
    return int(mine > SECONDS * seeds / 10)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
