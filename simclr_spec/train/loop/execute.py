"""One attempt at a Step: lease, attempt folder, record, signals and result around what its kind does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from simclr_spec.core.code import code_version
from simclr_spec.core.errors import Interrupted, UsageError
from simclr_spec.core.files import read_json
from simclr_spec.core.times import now
from simclr_spec.stages.kinds import KINDS
from simclr_spec.store import outcomes
from simclr_spec.store.layout import Attempt, RunFolder
from simclr_spec.train import distributed
from simclr_spec.train.checkpoint import delete_checkpoints, write_tensors
from simclr_spec.train.loop.attempt import Stop, for_users, recorded, stopping
from simclr_spec.train.loop.environment import environment
from simclr_spec.train.loop.job import Executor, Job, Outcome, imported
from simclr_spec.train.model.about import About, inherited


def execute(path: Path) -> None:
    """Train, evaluate and commit the Step; returns at once when it is done already or another process works on it.

    Raises Interrupted, or the error that was recorded in the attempt's record.json and log. Of several ranks none returns, nor
    raises Interrupted, before all that there is to write is written; after another error their process group is of no more use.
    """
    folder = RunFolder(path.resolve())
    step = read_json(folder.step, "fingerprint", "kind", "label", "params", "needs")
    if step is None:
        raise UsageError(f"this is not a run folder: it has no {folder.step.name}")
    if step["kind"] not in KINDS:
        raise UsageError(f"its {folder.step.name} is of kind '{step['kind']}', which this version does not know")
    code_version()
    device = distributed.start()
    with stopping(folder) as stop:
        try:
            _attempt(folder, step, device, stop)
        except Interrupted:
            distributed.barrier()
            raise
        if distributed.any_across_ranks(stop.asked):
            raise Interrupted


def _attempt(folder: RunFolder, step: Mapping[str, Any], device: torch.device, stop: Stop) -> None:
    with for_users(), _leased(folder) as mine:
        if mine:
            folder.settle()
        if not distributed.broadcast(mine and not folder.done):
            return
        attempt = distributed.broadcast(folder.new_attempt() if distributed.rank() == 0 else Attempt(folder.path))
        with recorded(attempt) as record:
            job = Job(folder=folder, attempt=attempt, step=step, device=device, stop=stop, record=record)
            executor: Executor = imported(KINDS[job.kind].executor)
            origins = inherited(job.parents())
            _commit(job, executor(job), origins)


def _commit(job: Job, outcome: Outcome, inherited: Mapping[str, tuple[str, ...]]) -> None:
    """Weights and outcomes, then the result; rank 0 writes."""
    if distributed.rank() != 0:
        return
    write_tensors(job.attempt.weights, outcome.weights, _about(job, outcome, inherited).metadata())
    if outcome.tests:
        outcomes.write(job.attempt.outcomes, outcome.tests)
    result = {
        "fingerprint": job.fingerprint,
        "metrics": outcome.metrics,
        **outcome.counts,
        "seconds": round(outcome.seconds, 3),
        "parameters": outcome.parameters,
        "environment": environment(job.device),
        "finished": now(),
    }
    if seen := job.record.values.get("data_digest"):
        result["data_digest"] = seen
    job.folder.commit(job.attempt, result)
    delete_checkpoints(job.folder)


def _about(job: Job, outcome: Outcome, inherited: Mapping[str, tuple[str, ...]]) -> About:
    return About.of_step(
        job.step,
        classes=outcome.classes,
        origin=inherited["origin"] + outcome.origin,
        licence=inherited["licence"] + outcome.licence,
    )


@contextlib.contextmanager
def _leased(folder: RunFolder) -> Iterator[bool]:
    """Rank 0 holds the lease for all ranks."""
    if distributed.rank() == 0:
        with folder.leased() as mine:
            yield mine
    else:
        yield False
