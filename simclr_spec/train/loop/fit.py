"""One loop for every stage: from step.json to result.json, with a curve, checkpoints and a way to stop."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from simclr_spec.core.errors import DataError
from simclr_spec.core.fields import build
from simclr_spec.core.files import read_json
from simclr_spec.stages.common import DatasetConfig, TrainingConfig
from simclr_spec.stages.kinds import KINDS
from simclr_spec.store.layout import Attempt, RunFolder, Store
from simclr_spec.train import Interrupted, distributed
from simclr_spec.train.checkpoint import Checkpoint, checkpoints, delete_checkpoints, write_checkpoint, write_tensors
from simclr_spec.train.data import datasets
from simclr_spec.train.loop.attempt import Record, Stop, now
from simclr_spec.train.loop.environment import environment
from simclr_spec.train.loop.trainer import WINDOW, Clock, Run
from simclr_spec.train.stages.distill import Distill
from simclr_spec.train.stages.finetune import Finetune
from simclr_spec.train.stages.linear_eval import LinearEval
from simclr_spec.train.stages.pretrain import Pretrain
from simclr_spec.train.stages.stage import Stage
from simclr_spec.train.stages.supervised import Supervised

STAGES: dict[str, Callable[..., Stage[Any]]] = {
    "pretrain": Pretrain,
    "finetune": Finetune,
    "linear_eval": LinearEval,
    "supervised": Supervised,
    "distill": Distill,
}
TOGETHER = 10
"""With several ranks: train steps between the moments at which all look for NaN and for the wish to stop."""
LOG_SECONDS = 1.0
LANDMARKS = (10, 25, 50, 75, 100)
"""Percent of the train steps after which the log has a line of the curve; the last one is the end."""
CHECKPOINT_SHARE = 0.05
"""Of the time at most goes into writing checkpoints, however big they are."""


@dataclass(frozen=True)
class Work:
    """A Step in the hands of this process."""

    folder: RunFolder
    attempt: Attempt
    step: dict[str, Any]
    device: torch.device
    stop: Stop
    record: Record

    @property
    def fingerprint(self) -> str:
        return str(self.step["fingerprint"])

    @property
    def store(self) -> Store:
        return self.folder.store

    def parents(self) -> dict[str, RunFolder]:
        return {role: self.store.folder_at(need["folder"]) for role, need in self.step["needs"].items()}


def train(work: Work) -> None:
    """From step.json to result.json."""
    kind = work.step["kind"]
    config: TrainingConfig = build(KINDS[kind], work.step["params"])
    images = datasets.load(config.dataset, orientation=config.augment.orientation, store=work.store)
    if distributed.rank() == 0 and (seen := datasets.seen(config.dataset, images, work.store, work.record.log)):
        work.record.set(data_digest=seen)
    images = images.to(work.device)
    torch.manual_seed(config.seed)
    run = Run(config, STAGES[kind](config, work.parents()), images, work.device)
    _resume(run, work)
    if config.compile:
        run.stage.compile_encoders()
    fit(run, work)
    measured = run.stage.evaluate(images)
    work.record.log(f"result: {_told(measured)}, after {run.seconds:,.1f} s of training")
    metrics = run.means() | measured
    if distributed.rank() == 0:
        _still_there(config.dataset, images, work)
        write_tensors(work.attempt.weights, run.stage.handed_on())
        work.folder.commit(work.attempt, _result(run, work, metrics))
        delete_checkpoints(work.folder)


def _still_there(dataset: DatasetConfig, images: datasets.Images, work: Work) -> None:
    """A result says which images it is of; of such as changed meanwhile, nobody could say what it and its checkpoints saw."""
    if not datasets.unchanged(dataset, images, work.store, work.record.values.get("data_digest")):
        delete_checkpoints(work.folder)
        raise DataError(f"the images of '{dataset.name}' changed while they were trained on: leave them alone, and run again")


def _resume(run: Run, work: Work) -> None:
    """Go on from the newest checkpoint that every rank can read, whichever attempt left it; all follow rank 0's list."""
    for candidate in distributed.tell(checkpoints(work.folder, work.fingerprint)):
        tensors, why = {}, "another rank cannot read it"
        if _saw_others(candidate, work):
            work.record.log(f"skipped {candidate.path}: the images have changed since")
            continue
        try:
            tensors = run.read(candidate)
        except (OSError, SafetensorError, ValueError) as error:
            why = str(error)
        if distributed.any_rank(not tensors):
            work.record.log(f"skipped {candidate.path}: {why}")
            continue
        run.restore(candidate, tensors)
        attempt = candidate.attempt.number
        work.record.set(resumed_from={"attempt": attempt, "train_step": run.done})
        work.record.log(f"goes on from train step {run.done} of attempt {attempt}")
        return


def _saw_others(candidate: Checkpoint, work: Work) -> bool:
    """Whether the attempt that left it trained on other images; rank 0 knows."""
    before = (read_json(candidate.attempt.record) or {}).get("data_digest")
    return distributed.tell(before != work.record.values.get("data_digest") and before is not None)


def fit(run: Run, work: Work) -> None:
    """Train to the last train step; about once a second a line of metrics, every few seconds and at the end a checkpoint."""
    curve, saver, landmarks = Curve(run, work.attempt.metrics), Saver(run, work), Landmarks(run, work.record)
    curve.write({"loss": None})
    run.clock.lap()
    while run.done < run.train_steps:
        if _together(run) and distributed.any_rank(work.stop.requested()):
            run.inspect()
            saver.write()
            raise Interrupted
        run.advance()
        monitored, last = run.monitor(), run.done == run.train_steps
        pressing = landmarks.due() or bool(monitored) or run.done - run.inspected >= WINDOW
        if pressing or (_together(run) and (distributed.world_size() > 1 or curve.due() or saver.due())):
            measured = run.inspect()
            if landmarks.due() or monitored:
                landmarks.write({**measured, **monitored})
            if curve.due() or monitored or last:
                curve.write(measured | monitored)
            if saver.due():
                saver.write()
    run.count()
    if saver.clock.now() >= saver.every_seconds:  # a failure in the evaluation then costs no training to speak of
        saver.write()


def _together(run: Run) -> bool:
    """Whether this is a moment for what all ranks must do at the same train step."""
    return distributed.world_size() == 1 or run.done % TOGETHER == 0


class Curve:
    """metrics.jsonl, one line about every second; rank 0 writes."""

    def __init__(self, run: Run, path: Path) -> None:
        self.run, self.path = run, path
        self.clock = Clock()
        self.written = run.done

    def due(self) -> bool:
        return self.clock.now() >= LOG_SECONDS

    def write(self, measured: Mapping[str, float | None]) -> None:
        run, images = self.run, (self.run.done - self.written) * self.run.batch
        line: dict[str, Any] = {
            "train_step": run.done,
            "train_steps": run.train_steps,
            "epoch": round(run.epoch, 4),
            **measured,
        }
        line |= {"learning_rate": run.rate(), "images_per_second": round(images / self.clock.lap(), 2), "time": time.time()}
        self.written = run.done
        if distributed.rank() == 0:
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")


class Landmarks:
    """The curve in a few lines of the log: what is trained, its measures at some shares of the train steps, and monitors."""

    def __init__(self, run: Run, record: Record) -> None:
        self.run, self.record = run, record
        self.left = {-(-percent * run.train_steps // 100) for percent in LANDMARKS}
        self.done, self.seconds = run.done, run.seconds
        epochs, world = run.train_steps * run.batch / len(run.examples), distributed.world_size()
        record.log(
            f"{run.train_steps:,} train steps, {epochs:.4g} epochs, batch {run.batch:,}, {len(run.examples):,} images, "
            f"on {run.history.device}" + (f", {world} processes" if world > 1 else "")
        )

    def due(self) -> bool:
        """At the same train steps on all ranks."""
        return self.run.done in self.left

    def write(self, measured: Mapping[str, float]) -> None:
        run = self.run
        run.count()
        rate = (run.done - self.done) * run.batch / max(run.seconds - self.seconds, 1e-9)
        self.done, self.seconds = run.done, run.seconds
        place = f"train step {run.done:,} of {run.train_steps:,}, epoch {run.epoch:.4g}"
        self.record.log(f"{place}, {_told(measured)}, {rate:,.0f} images/s")


def _told(measured: Mapping[str, float]) -> str:
    """`loss 3.214, contrast_top1 45.21`: the loss first, before a sum that it is part of."""
    return ", ".join(f"{name} {value:.4g}" for name, value in sorted(measured.items(), key=lambda one: one[0] != "loss"))


class Saver:
    """The attempt's checkpoint, every few seconds or train steps; rank 0 writes."""

    def __init__(self, run: Run, work: Work) -> None:
        self.run, self.work = run, work
        self.every_seconds = float(os.environ.get("SIMCLR_SPEC_CHECKPOINT_SECONDS", "5"))
        self.every_steps = int(os.environ.get("SIMCLR_SPEC_CHECKPOINT_STEPS", "0"))
        self.clock = Clock()
        self.wait = self.every_seconds

    def due(self) -> bool:
        return self.clock.now() >= self.wait or bool(self.every_steps and self.run.done % self.every_steps == 0)

    def write(self) -> None:
        """Training time stands still meanwhile."""
        run, work = self.run, self.work
        run.count()
        self.clock.lap()
        if distributed.rank() == 0:
            write_checkpoint(work.attempt, run.state(), fingerprint=work.fingerprint, train_step=run.done, seconds=run.seconds)
        self.wait = max(self.every_seconds, self.clock.lap() / CHECKPOINT_SHARE)
        run.clock.lap()


def _result(run: Run, work: Work, metrics: dict[str, float]) -> dict[str, Any]:
    return {
        "fingerprint": work.fingerprint,
        "metrics": metrics,
        "train_steps": run.train_steps,
        "seconds": round(run.seconds, 3),
        "images_per_second": round(run.train_steps * run.batch / run.seconds, 2),
        "parameters": sum(p.numel() for p in run.stage.parameters() if p.requires_grad),
        "environment": environment(work.device),
        "finished": now(),
        **({"data_digest": seen} if (seen := work.record.values.get("data_digest")) else {}),
    }
