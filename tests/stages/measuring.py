"""The executor of tests/stages/measure.py."""

from __future__ import annotations

import time

import torch

from simclr_spec.train.checkpoint import read_weights
from simclr_spec.train.loop.job import Job, Outcome


def measure(job: Job) -> Outcome:
    began, config = time.monotonic(), job.config()
    weights = [tensor.flatten() for name, tensor in read_weights(job.parents()["from"]).items() if name.endswith("conv.weight")]
    flat = torch.cat(weights).double()
    job.record.log(f"the norm of {len(flat):,} numbers")
    metrics = {"weight_norm": float(flat.norm(config.order)), "numbers": float(len(flat))}
    return Outcome(metrics=metrics, weights={}, seconds=time.monotonic() - began)
