"""Weights that were trained elsewhere become those of a Step: one process reads, the others wait."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from simclr_spec.stages.imports import NOT_STATED, ImportConfig
from simclr_spec.store import weights
from simclr_spec.train import distributed
from simclr_spec.train.loop.job import Job, Outcome
from simclr_spec.train.model.about import read_about
from simclr_spec.train.weights import read as files
from simclr_spec.train.weights.held import Wanted

JOINED = " · "
"""Between several, in result.json."""


def read(job: Job) -> Outcome:
    """Raises MissingDataError, WeightsError."""
    began, config = time.monotonic(), job.config()
    outcome = _read(job, config) if distributed.rank() == 0 else Outcome(metrics={}, weights={}, seconds=0)
    distributed.barrier()
    return replace(outcome, seconds=time.monotonic() - began)


def _read(job: Job, config: ImportConfig) -> Outcome:
    held, log = config.weights, job.record.log
    path, sha = weights.identified(held, job.store, job.folder, keep=True)
    wanted = Wanted(encoder=config.encoder, head=config.head, weights=held)
    log(f"reads {path}, SHA-256 {sha}")
    tensors = files.read(wanted, path, log)
    weights.decide(held, job.store, sha)
    origin, licence = _provenance(config, path)
    return Outcome(
        metrics={},
        weights=tensors,
        seconds=0,
        counts={weights.SHA256: sha, "origin": JOINED.join(origin), "licence": JOINED.join(licence)},
        origin=origin,
        licence=licence,
    )


def _provenance(config: ImportConfig, path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Origins and licences: of the weights file, and those that a file of our own brings of what it was trained from."""
    own = read_about(path) if path.suffix == ".safetensors" else None
    found = []
    for said, brought in ((config.weights.origin, own and own.origin), (config.weights.licence, own and own.licence)):
        found.append(tuple(dict.fromkeys([*(brought or ()), *([] if brought and said == NOT_STATED else [said])])))
    return found[0], found[1]
