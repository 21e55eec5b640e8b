"""Where not all Steps can be queued at once: a small job that waits for some of them, and types the same command again."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace

from simclr_spec.core.code import code_version
from simclr_spec.core.environment import SINCE
from simclr_spec.dispatch.slurm import ledger
from simclr_spec.dispatch.slurm.submission import Submission
from simclr_spec.language.runner import Slurm
from simclr_spec.store.layout import Store

MINUTES = 60
"""Enough to look at large folders of images again."""


def asked(store: Store) -> float:
    """When a person asked for what this process does, by the clock of the store's file system."""
    store.asked.touch()
    return float(os.environ.get(SINCE, store.asked.stat().st_mtime))


def as_typed(command: Sequence[str]) -> str:
    """One line."""
    return shlex.join(command)


def this_job() -> str:
    """The id of such a job, of this very process; else empty."""
    return f"{os.environ['SLURM_ARRAY_JOB_ID']}_0" if SINCE in os.environ else ""


def prepared(store: Store, runner: Slurm, command: Sequence[str], after: Sequence[str], asked: float) -> Submission:
    """Its intent is written. `command` is what stands after `simclr-spec`."""
    folder = ledger.write_intent(
        store,
        "rest",
        {},
        runner,
        variables={},
        processes=1,
        cpus=1,
        minutes=MINUTES,
        code=code_version(),
        command=as_typed(command),
    )
    return Submission(
        name=folder.name,
        folder=folder.path,
        indices="0",
        request=replace(
            runner.resources,
            nodes=1,
            gpus_per_node=0,
            gpu_type=None,
            processes_per_node=1,
            cpus_per_process=1,
            memory_gib=2,
            minutes=MINUTES,
        ),
        runner=runner,
        after=after,
        python="",
        lines=_lines(store, command, asked),
    )


def _lines(store: Store, command: Sequence[str], asked: float) -> str:
    """This Python, not the runner's: a container has no `sbatch`."""
    return "\n".join(
        (
            f"export SIMCLR_SPEC_STORE={shlex.quote(str(store.path.absolute()))} {SINCE}={asked}",
            f"cd {shlex.quote(os.getcwd())} || exit",
            shlex.join([sys.executable, "-u", "-m", "simclr_spec", *command]),
        )
    )
