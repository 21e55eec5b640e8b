"""A Step's training as an object: batches, train steps, and all the state there is.

Nothing here carries random state: the batch of train step t is a function of (seed, t), so a Step that is killed at any instant
goes on from its newest checkpoint and ends with the weights it would have had. To the bit on a CPU, with as many threads and
processes; on GPUs to the bit where the runner is `deterministic`, else up to the order of sums, which they choose anew.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from simclr_spec.core.errors import TrainingError, UsageError
from simclr_spec.stages.common import TrainingConfig
from simclr_spec.train import distributed, optim
from simclr_spec.train.checkpoint import Checkpoint
from simclr_spec.train.data import datasets
from simclr_spec.train.data.photos import chunks
from simclr_spec.train.stage import Batch, Stage
from simclr_spec.train.tensors import to_device
from simclr_spec.train.views import augment

WINDOW = 100
"""Train steps whose measures stay on the device; the result's training measures are means over the last so many."""


class Clock:
    """Seconds since the last lap."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def now(self) -> float:
        return time.monotonic() - self.last

    def lap(self) -> float:
        seconds = self.now()
        self.last += seconds
        return seconds


def train_step(stage: Stage[Any], optimizer: optim.Optimizer, batch: Batch, rate: float, micro_batch: int) -> Tensor:
    """One update from this rank's share of the batch -> (len(stage.measures),), means over the whole batch. No host sync.

    With several micro-batches (here: of this rank's images) the gradients are means of theirs: BN and contrastive losses then
    see one micro-batch of all ranks only.
    """
    optimizer.zero_grad()
    measures = []
    for micro in batch.split(micro_batch):
        measured = stage.measure(micro) * (len(micro) / len(batch))
        measured[0].backward()  # type: ignore[no-untyped-call]
        measures.append(measured.detach())
    total = torch.stack(measures).sum(0)
    if distributed.world_size() > 1:
        distributed.average([p.grad for p in stage.parameters() if p.grad is not None] + [total])
    optimizer.step(rate)
    stage.after_step()
    return total


class Trainer:
    """A Step's training: what it has come to (`done` train steps of `train_steps`) and how it goes on."""

    def __init__(self, config: TrainingConfig, stage: Stage[Any], images: datasets.ImageSet, device: torch.device) -> None:
        self.config, self.images, self.stage = config, images, stage.to(device)
        if config.channels_last:
            stage.to(memory_format=torch.channels_last)
        self.examples = stage.examples(images)
        self.labels = stage.labels(images)
        self.schedule = config.schedule(len(self.examples))
        batch, micro_batch = self.schedule.batch, self.schedule.micro_batch
        if batch % micro_batch:
            raise UsageError(f"micro_batch {micro_batch} does not divide the batch of {batch} images")
        if micro_batch % (world := distributed.world_size()):
            what = "batch" if micro_batch == batch else "micro_batch"
            raise UsageError(f"a {what} of {micro_batch} cannot be shared equally by {world} processes")
        self.optimizer = optim.optimizer(stage, config)
        self.done = 0
        self.seconds = 0.0
        self.clock = Clock()
        self.history = torch.zeros(WINDOW, len(stage.measures), device=device)
        self.inspected = 0
        self._ahead: Future[Batch] | None = None
        self._reader = None if isinstance(images.train, Tensor) else ThreadPoolExecutor(1)

    @property
    def epoch(self) -> float:
        return self.done * self.schedule.batch / len(self.examples)

    def rate(self) -> float:
        """Learning rate of the next train step."""
        return self.schedule.learning_rate(self.done)

    def make_batch(self, train_step: int) -> Batch:
        """This rank's share of every micro-batch of train step 0, 1, ...: a pure function."""
        config = self.config
        positions = torch.arange(train_step * self.schedule.batch, (train_step + 1) * self.schedule.batch).view(
            -1, self.schedule.micro_batch
        )
        positions = positions[:, distributed.rank_slice(self.schedule.micro_batch)].flatten()
        epochs, places = datasets.stream(positions, len(self.examples), seed=config.seed)
        samples = self.examples[places]
        views = augment.training_views(
            chunks(self.images.train, samples),
            config.augment,
            config.dataset.image_size,
            seed=config.seed,
            train_step=train_step,
            samples=samples,
            epochs=epochs,
            views=self.stage.views,
        )
        if config.channels_last:
            views = tuple(view.contiguous(memory_format=torch.channels_last) for view in views)
        return Batch(views, self.labels[to_device(samples, self.labels.device)])

    def advance(self) -> None:
        """One train step. Batches from files are read one train step ahead."""
        batch = self._ahead.result() if self._ahead else self.make_batch(self.done)
        if self._reader and self.done + 1 < self.schedule.train_steps:
            self._ahead = self._reader.submit(self.make_batch, self.done + 1)
        micro_batch = self.schedule.micro_batch // distributed.world_size()
        measured = train_step(self.stage, self.optimizer, batch, self.rate(), micro_batch)
        self.history[self.done % WINDOW] = measured
        self.done += 1

    def monitor(self) -> dict[str, float]:
        """The stage's metrics when an epoch, other than the last, has just ended."""
        before = (self.done - 1) * self.schedule.batch // len(self.examples)
        if (epochs := int(self.epoch)) == before or self.done >= self.schedule.train_steps - 1:
            return {}
        self.count()
        found = self.stage.monitor(self.images, epochs)
        self.clock.lap()
        return found

    def inspect(self) -> dict[str, float]:
        """The last train step's measures; a loss that is not finite ends the Step. Call at least every WINDOW train steps."""
        history = self.history.tolist()
        for train_step in range(self.inspected, self.done):
            if not math.isfinite(loss := history[train_step % WINDOW][0]):
                raise TrainingError(f"the loss became {loss} at train step {train_step + 1} of {self.schedule.train_steps}")
        self.inspected = self.done
        return dict(zip(self.stage.measures, history[(self.done - 1) % WINDOW], strict=True))

    def means(self) -> dict[str, float]:
        """The measures' means over the last WINDOW train steps."""
        means = self.history[: min(self.done, WINDOW)].double().mean(0).tolist()
        return dict(zip(self.stage.measures, means, strict=True))

    def count(self) -> None:
        """Add the time since the last lap to the training time."""
        self.seconds += self.clock.lap()

    def state(self) -> dict[str, Tensor]:
        """All that training has changed."""
        network = {f"network.{name}": tensor for name, tensor in self.stage.state().items()}
        momentum = {f"momentum.{name}": tensor for name, tensor in self.optimizer.state_tensors().items()}
        return network | momentum | {"history": self.history}

    def read(self, checkpoint: Checkpoint) -> dict[str, Tensor]:
        """Its tensors; raises ValueError when it holds others than this Step has."""
        found = checkpoint.tensors()
        if {name: t.shape for name, t in found.items()} != {name: t.shape for name, t in self.state().items()}:
            raise ValueError("it holds other tensors")
        return found

    def restore(self, checkpoint: Checkpoint, tensors: Mapping[str, Tensor]) -> None:
        """Go on from there, with what was read from it."""
        for name, tensor in self.state().items():
            tensor.copy_(tensors[name])
        self.done = self.inspected = checkpoint.train_step
        self.seconds = checkpoint.seconds
