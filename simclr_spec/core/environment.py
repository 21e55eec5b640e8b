"""Environment variables: those that tell a process how to train, and setting some for a while."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

THREADS = "SIMCLR_SPEC_THREADS"
DETERMINISTIC = "SIMCLR_SPEC_DETERMINISTIC"
RECOMPUTE = "SIMCLR_SPEC_RECOMPUTE"
CHECKPOINT_SECONDS = "SIMCLR_SPEC_CHECKPOINT_SECONDS"
CHECKPOINT_STEPS = "SIMCLR_SPEC_CHECKPOINT_STEPS"
"""Train steps between checkpoints; for tests, which cannot wait for seconds to pass."""
MEETING = "SIMCLR_SPEC_MEETING"
"""The file over which the processes of a Step find each other on one machine: a port might be taken meanwhile."""
JOB = "SIMCLR_SPEC_JOB"
"""What the record calls the place where an attempt runs."""

SUBMITTED_CODE = "SIMCLR_SPEC_SUBMITTED_CODE"
"""Of a job: version of the code that submitted it."""
PAST = "SIMCLR_SPEC_PAST"
"""Of a job that Slurm began again: how its earlier starts ended, as accounting writes it."""
BEGAN = "SIMCLR_SPEC_BEGAN"
"""Of a job: when this start of it began, in seconds."""

SLURM_SECONDS = "SIMCLR_SPEC_SLURM_SECONDS"
"""How long a command of Slurm may take to answer."""
SINCE = "SIMCLR_SPEC_SINCE"
"""Of a job that submits what could not be queued before: when a person asked for it, in seconds."""


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """They are set, also for processes that begin meanwhile; afterwards they are what they were."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
