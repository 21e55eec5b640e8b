"""What every kind of training has in common: a network, the measures of a train step, an evaluation, weights to hand on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simclr_spec.stages.common import LabelsConfig, TrainingConfig
from simclr_spec.store.layout import RunFolder
from simclr_spec.store.outcomes import Outcomes
from simclr_spec.train import evaluate
from simclr_spec.train.data.datasets import ImageSet, evaluation_samples, labelled
from simclr_spec.train.data.photos import Files
from simclr_spec.train.model.encoder import Encoder
from simclr_spec.train.tensors import to_float32

Config = TypeVar("Config", bound=TrainingConfig)


@dataclass(frozen=True)
class Batch:
    """What one train step (or one rank's share of it) learns from."""

    views: tuple[Tensor, ...]  # each (B, 3, S, S) in [0, 1]
    labels: Tensor  # (B,) int64, -1 where the Step must not know the label

    def __len__(self) -> int:
        return len(self.labels)

    def split(self, size: int) -> Iterator[Batch]:
        """Micro-batches of `size` images, the last perhaps smaller."""
        for start in range(0, len(self), size):
            rows = slice(start, start + size)
            yield Batch(tuple(view[rows] for view in self.views), self.labels[rows])


class Stage(nn.Module, Generic[Config]):
    """Subclasses make their modules in __init__: on the CPU, in float32, from the generator that the loop has seeded.

    All that training changes is a parameter or a buffer.
    """

    measures: tuple[str, ...] = ("loss", "train_top1")  # the first is minimised; shares are percent
    views: ClassVar[int] = 1  # random views of each image
    loaded: tuple[str, ...] = ()  # modules that never change: their tensors are the parent's and stay out of checkpoints

    def __init__(self, config: Config, parents: Mapping[str, RunFolder]) -> None:  # noqa: ARG002
        super().__init__()
        self.config = config

    def examples(self, images: ImageSet) -> Tensor:
        """(n,) sorted int64: the training images of this Step."""
        labels = self.config.learns_on
        return torch.arange(len(images.train_labels)) if labels is None else self.labelled(images, labels)

    def labels(self, images: ImageSet) -> Tensor:
        """(N,) int64: the labels of all training images, -1 where the Step must not know them."""
        return images.train_labels

    def measure(self, batch: Batch) -> Tensor:
        """One forward pass -> (len(measures),): means over the batch; the first is differentiated."""
        raise NotImplementedError

    def after_step(self) -> None:
        """What follows the optimizer's update."""

    def monitor(self, images: ImageSet, epochs_done: int) -> dict[str, float]:  # noqa: ARG002
        """At the end of each epoch: metrics for the curve, where the Step asks for them."""
        return {}

    def evaluate(self, images: ImageSet) -> dict[str, Outcomes]:
        """Tests of the finished network by name, all of `test_samples`; the name of a Step's own test is empty."""
        return {"": self.test(self, images)}

    def exported_weights(self) -> dict[str, Tensor]:
        """The tensors of weights.safetensors."""
        raise NotImplementedError

    def state(self) -> dict[str, Tensor]:
        """All tensors that training changes, by name."""
        return {name: tensor for name, tensor in self.state_dict().items() if name.partition(".")[0] not in self.loaded}

    def compile_encoders(self) -> None:
        for module in self.modules():
            if isinstance(module, Encoder):
                module.compile()

    def arithmetic(self) -> torch.autocast:
        """The precision of the forward pass in training; losses are computed outside of it, by float32 outputs."""
        return torch.autocast(self._device().type, torch.bfloat16, enabled=self.config.precision == "bf16")

    def _device(self) -> torch.device:
        device: torch.device = next(self.parameters()).device
        return device

    def labelled(self, images: ImageSet, labels: LabelsConfig) -> Tensor:
        """(n,) sorted int64: the training images whose labels are known."""
        classes = cast(int, self.config.dataset.classes)  # without any, only a pretraining is planned
        return labelled(images.train_labels, labels, classes, images.train_names)

    def test_samples(self, images: ImageSet) -> Tensor:
        """(n,) sorted int64: the test images of this Step, in their order."""
        return evaluation_samples(images.test_labels, self.config.test_images)

    @torch.no_grad()
    def outputs(self, network: nn.Module, images: Tensor | Files, samples: Tensor) -> Tensor:
        """(n, D) float32: the network's outputs, in eval mode, for samples (n,); the ranks share the work."""
        modes = {module: module.training for module in self.modules()}
        self.eval()
        found = evaluate.shared_outputs(network, images, samples, self.config.augment, self.config.dataset.image_size)
        for module, mode in modes.items():
            module.training = mode
        return found

    def test(self, classifier: nn.Module, images: ImageSet) -> Outcomes:
        """On every rank, of all test images."""
        samples = self.test_samples(images)
        return evaluate.of_logits(self.outputs(classifier, images.test, samples), images.labels_of(samples))


class LabelledStage(Stage[Config]):
    """Learning labels by cross entropy; `forward` maps (B, 3, S, S) to logits (B, classes)."""

    label_smoothing: float = 0.0

    def measure(self, batch: Batch) -> Tensor:
        with self.arithmetic():
            logits = self(batch.views[0])
        return classification(logits, batch.labels, self.label_smoothing)


def classification(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """(B, classes), (B,) -> (2,): cross entropy, mean over the batch, and top-1 in percent."""
    logits = to_float32(logits)
    return torch.stack([F.cross_entropy(logits, labels, label_smoothing=smoothing), top1(logits, labels)])


def top1(logits: Tensor, labels: Tensor) -> Tensor:
    """(B, classes), (B,) -> percent of rows whose greatest logit is the label."""
    return (logits.detach().argmax(1) == labels).to(logits.dtype).mean() * 100


def named(**modules: nn.Module) -> dict[str, Tensor]:
    """encoder=module -> {"encoder.stem.weight": tensor, ...}."""
    return {f"{prefix}.{name}": tensor for prefix, module in modules.items() for name, tensor in module.state_dict().items()}
