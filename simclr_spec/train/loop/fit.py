"""One loop for every kind of training, with a curve, checkpoints and a way to stop."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from simclr_spec.core.environment import CHECKPOINT_SECONDS, CHECKPOINT_STEPS
from simclr_spec.core.errors import Interrupted
from simclr_spec.core.files import append_line, read_json
from simclr_spec.core.words import fixed, number
from simclr_spec.language.runner import Common
from simclr_spec.stages.common import TrainingConfig
from simclr_spec.stages.kinds import KINDS
from simclr_spec.stages.training import TrainingKind
from simclr_spec.store import outcomes
from simclr_spec.train import distributed
from simclr_spec.train.checkpoint import Checkpoint, checkpoints, write_checkpoint
from simclr_spec.train.loop import watched
from simclr_spec.train.loop.attempt import Record
from simclr_spec.train.loop.job import Job, Outcome, imported
from simclr_spec.train.loop.trainer import WINDOW, Clock, Trainer
from simclr_spec.train.stage import Stage

TOGETHER = 10
"""With several ranks: train steps between the moments at which all look for NaN and for the wish to stop."""
LOG_SECONDS = 1.0
LANDMARKS = (10, 25, 50, 75, 100)
"""Percent of the train steps after which the log has a line of the curve; the last one is the end."""
CHECKPOINT_SHARE = 0.05
"""Of the time at most goes into writing checkpoints, however big they are."""


def train(job: Job) -> Outcome:
    """The executor of every kind of training."""
    config: TrainingConfig = job.config()
    images = watched.load(job, config.dataset, config.augment)
    torch.manual_seed(config.seed)
    trainer = Trainer(config, stage_class(job.kind)(config, job.parents()), images, job.device)
    _resume(trainer, job)
    if config.compile:
        trainer.stage.compile_encoders()
    fit(trainer, job)
    means, tests = trainer.means(), trainer.stage.evaluate(images)
    measured = {name: value for name, value in outcomes.metrics(tests).items() if name in KINDS[job.kind].metrics}
    job.record.log(f"result: {_sentence(measured or means)}, after {fixed(trainer.seconds, 1)} s of training")
    watched.still_there(job, config.dataset, images)
    weights = trainer.stage.exported_weights()
    return Outcome(
        metrics=means | measured,
        weights=weights,
        seconds=trainer.seconds,
        parameters=sum(p.numel() for p in trainer.stage.parameters() if p.requires_grad),
        counts={
            "train_steps": trainer.schedule.train_steps,
            "images_per_second": round(trainer.schedule.train_steps * trainer.schedule.batch / trainer.seconds, 2),
            **({"test_list": watched.tested(job, config.dataset, images, trainer.stage.test_samples(images))} if tests else {}),
        },
        tests=tests,
        classes=images.classes if "classifier.weight" in weights else (),
    )


def stage_class(kind: str) -> type[Stage[Any]]:
    """The network and the measures of a kind of training."""
    trained = KINDS[kind]
    assert isinstance(trained, TrainingKind)
    found: type[Stage[Any]] = imported(trained.stage)
    return found


def _resume(trainer: Trainer, job: Job) -> None:
    """Go on from the newest checkpoint that every rank can read, whichever attempt left it; all follow rank 0's list."""
    first = distributed.rank() == 0
    for candidate in distributed.broadcast(checkpoints(job.folder, job.fingerprint) if first else []):
        tensors, why = {}, "another rank cannot read it"
        if distributed.broadcast(first and _saw_others(candidate, job)):
            job.record.log(f"skipped {candidate.path}: the images have changed since")
            continue
        try:
            tensors = trainer.read(candidate)
        except (OSError, SafetensorError, ValueError) as error:
            why = str(error)
        if distributed.any_across_ranks(not tensors):
            job.record.log(f"skipped {candidate.path}: {why}")
            continue
        trainer.restore(candidate, tensors)
        attempt = candidate.attempt.number
        job.record.set(resumed_from={"attempt": attempt, "train_step": trainer.done})
        job.record.log(f"goes on from train step {trainer.done} of attempt {attempt}")
        return


def _saw_others(candidate: Checkpoint, job: Job) -> bool:
    """Whether the attempt that left it trained on other images."""
    before = (read_json(candidate.attempt.record) or {}).get("data_digest")
    return before is not None and before != job.record.values.get("data_digest")


def fit(trainer: Trainer, job: Job) -> None:
    """Train to the last train step; about once a second a line of metrics, every few seconds and at the end a checkpoint."""
    curve, saver, landmarks = Curve(trainer, job.attempt.metrics), Saver(trainer, job), Landmarks(trainer, job.record)
    curve.write({"loss": None})
    trainer.clock.lap()
    while trainer.done < trainer.schedule.train_steps:
        if _together(trainer) and distributed.any_across_ranks(job.stop.requested()):
            trainer.inspect()
            saver.write()
            distributed.barrier()  # launchers kill the others once a rank has left: not before the checkpoint is there
            raise Interrupted
        trainer.advance()
        monitored, last = trainer.monitor(), trainer.done == trainer.schedule.train_steps
        pressing = landmarks.due() or bool(monitored) or trainer.done - trainer.inspected >= WINDOW
        if pressing or (_together(trainer) and (distributed.world_size() > 1 or curve.due() or saver.due())):
            measured = trainer.inspect()
            if landmarks.due() or monitored:
                landmarks.write({**measured, **monitored})
            if curve.due() or monitored or last:
                curve.write(measured | monitored)
            if saver.due():
                saver.write()
    trainer.count()
    if saver.clock.now() >= saver.every_seconds:  # a failure in the evaluation then costs no training to speak of
        saver.write()


def _together(trainer: Trainer) -> bool:
    """Whether this is a moment for what all ranks must do at the same train step."""
    return distributed.world_size() == 1 or trainer.done % TOGETHER == 0


class Curve:
    """metrics.jsonl, one line about every second; rank 0 writes."""

    def __init__(self, trainer: Trainer, path: Path) -> None:
        self.trainer, self.path = trainer, path
        self.clock = Clock()
        self.written = trainer.done

    def due(self) -> bool:
        return self.clock.now() >= LOG_SECONDS

    def write(self, measured: Mapping[str, float | None]) -> None:
        trainer, images = self.trainer, (self.trainer.done - self.written) * self.trainer.schedule.batch
        line: dict[str, Any] = {
            "train_step": trainer.done,
            "train_steps": trainer.schedule.train_steps,
            "epoch": round(trainer.epoch, 4),
            **measured,
        }
        line |= {"learning_rate": trainer.rate(), "images_per_second": round(images / self.clock.lap(), 2), "time": time.time()}
        self.written = trainer.done
        if distributed.rank() == 0:
            append_line(self.path, json.dumps(line))


class Landmarks:
    """The curve in a few lines of the log: what is trained, its measures at some shares of the train steps, and monitors."""

    def __init__(self, trainer: Trainer, record: Record) -> None:
        self.trainer, self.record, schedule = trainer, record, trainer.schedule
        self.left = {-(-percent * schedule.train_steps // 100) for percent in LANDMARKS}
        self.done, self.seconds = trainer.done, trainer.seconds
        epochs, world = schedule.train_steps * schedule.batch / schedule.examples, distributed.world_size()
        record.log(
            f"{schedule.train_steps:,} train steps, {number(epochs, 4)} epochs, batch {schedule.batch:,}, "
            f"{schedule.examples:,} images, on {trainer.history.device}" + (f", {world} processes" if world > 1 else "")
        )

    def due(self) -> bool:
        """At the same train steps on all ranks."""
        return self.trainer.done in self.left

    def write(self, measured: Mapping[str, float]) -> None:
        trainer = self.trainer
        trainer.count()
        rate = (trainer.done - self.done) * trainer.schedule.batch / max(trainer.seconds - self.seconds, 1e-9)
        self.done, self.seconds = trainer.done, trainer.seconds
        place = f"train step {trainer.done:,} of {trainer.schedule.train_steps:,}, epoch {number(trainer.epoch, 4)}"
        self.record.log(f"{place}, {_sentence(measured)}, {fixed(rate, 0)} images/s")


def _sentence(measured: Mapping[str, float]) -> str:
    """`loss 3.214, contrast_top1 45.21`: the loss first, before a sum that it is part of."""
    return ", ".join(
        f"{name} {number(value, 4)}" for name, value in sorted(measured.items(), key=lambda measure: measure[0] != "loss")
    )


class Saver:
    """The attempt's checkpoint, every few seconds or train steps; rank 0 writes."""

    def __init__(self, trainer: Trainer, job: Job) -> None:
        self.trainer, self.job = trainer, job
        self.every_seconds = float(os.environ.get(CHECKPOINT_SECONDS, Common.checkpoint_seconds))
        self.every_steps = int(os.environ.get(CHECKPOINT_STEPS, "0"))
        self.clock = Clock()
        self.wait = self.every_seconds

    def due(self) -> bool:
        return self.clock.now() >= self.wait or bool(self.every_steps and self.trainer.done % self.every_steps == 0)

    def write(self) -> None:
        """Training time stands still meanwhile."""
        trainer, job = self.trainer, self.job
        trainer.count()
        self.clock.lap()
        if distributed.rank() == 0:
            write_checkpoint(
                job.attempt, trainer.state(), fingerprint=job.fingerprint, train_step=trainer.done, seconds=trainer.seconds
            )
        self.wait = max(self.every_seconds, self.clock.lap() / CHECKPOINT_SHARE)
        trainer.clock.lap()
