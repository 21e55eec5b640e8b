"""Run folders as training leaves them, made without training: tests of what reads them."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from simclr_spec.core.files import write_json
from simclr_spec.plan import Plan, Step
from simclr_spec.stages.kinds import KINDS
from simclr_spec.store.layout import RunFolder, Store
from simclr_spec.store.lease import Holder

FEW = str(Path(__file__).parent / "declared" / "few.toml")
"""A spec that only the tests use."""
ENVIRONMENT = {
    "torch": "2.11.0",
    "python": "3.11.7",
    "accelerator": "cpu",
    "device": "x86_64",
    "hostname": "here",
    "threads": 2,
    "world_size": 1,
    "code": "1a2b3c4",
}


def prepare(store: Store, step: Step) -> RunFolder:
    """As dispatch does, but nobody here looks for the parents."""
    return store.prepare(step.id, step.written(dict.fromkeys(step.needs.values(), "elsewhere")))


def finish(store: Store, step: Step, metrics: dict[str, float], **environment: Any) -> RunFolder:
    """The Step is done, after half an hour."""
    folder = prepare(store, step)
    attempt = folder.new_attempt()
    attempt.weights.touch()
    result = {
        "fingerprint": step.fingerprint,
        "metrics": metrics,
        **({} if KINDS[step.kind].from_file else {"train_steps": 10, "images_per_second": 100.0}),
        "seconds": 1800.0,
        "parameters": 1000,
        "environment": ENVIRONMENT | environment,
        "finished": "2026-01-01T00:00:00+00:00",
    }
    assert folder.commit(attempt, result)
    return folder


def fail(store: Store, step: Step) -> RunFolder:
    """The Step was tried once, and failed."""
    folder = prepare(store, step)
    folder.lease.touch()
    write_json(folder.new_attempt().record, {"state": "failed", "error": "NaN loss in train step 3"})
    return folder


def finish_all(store: Store, plan: Plan, top1: float) -> None:
    for step in plan.steps:
        finish(store, step, {"top1": top1, "top5": 99.0})


def plant(folder: RunFolder, age: float) -> Holder:
    """What a process on another machine wrote `age` seconds ago."""
    holder = Holder(host="far", machine="another kernel", pid=77, beat=time.time() - age)
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.lease.write_text(json.dumps(asdict(holder)))
    return holder
