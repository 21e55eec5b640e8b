"""Distillation: a student without projection head learns a teacher's predictions on the same crops, Eq. 2 and Eq. 3."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from simclr_spec.core.errors import WeightsError
from simclr_spec.stages.distill import DistillConfig
from simclr_spec.store.layout import RunFolder
from simclr_spec.train.data.datasets import ImageSet
from simclr_spec.train.losses.distillation import distillation
from simclr_spec.train.model.encoder import Encoder
from simclr_spec.train.model.heads import Classifier
from simclr_spec.train.model.network import Network
from simclr_spec.train.stage import Batch, Stage, named, top1
from simclr_spec.train.tensors import to_float32


class Teacher(Network):
    """A fine-tuned network with its kept head layers, or a distilled one: fixed, and always in eval mode."""

    def train(self, mode: bool = True) -> Teacher:  # noqa: ARG002
        return super().train(False)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


class Distill(Stage[DistillConfig]):
    """Hands on the student: encoder and classifier."""

    measures = ("loss", "teacher_agreement")
    loaded = ("teacher",)

    def __init__(self, config: DistillConfig, parents: Mapping[str, RunFolder]) -> None:
        super().__init__(config, parents)
        self.encoder = Encoder(config.encoder)
        self.classifier = Classifier(self.encoder.features, config.dataset.classes)
        self.teacher = Teacher.of_folder(parents["teacher"]).train().requires_grad_(False)
        if (classes := self.teacher.class_count) != config.dataset.classes:
            raise WeightsError(
                f"the teacher in {parents['teacher'].path} knows {classes} classes, this data set has {config.dataset.classes}"
            )

    def labels(self, images: ImageSet) -> Tensor:
        """Only Eq. 3 knows labels, and only those of the labelled images."""
        known = torch.full_like(images.train_labels, -1)
        if self.config.alpha < 1:
            samples = self.labelled(images, self.config.labels).to(known.device)
            known[samples] = images.train_labels[samples]
        return known

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) -> the student's logits (B, classes)."""
        logits: Tensor = self.classifier(self.encoder(x))
        return logits

    def measure(self, batch: Batch) -> Tensor:
        x, config = batch.views[0], self.config
        with self.arithmetic():
            student, teacher = to_float32(self(x)), to_float32(self.teacher(x))
        loss = distillation(
            student,
            teacher,
            config.temperature,
            labels=batch.labels,
            alpha=config.alpha,
            temperature_squared=config.temperature_squared,
        )
        return torch.stack([loss, top1(student, teacher.argmax(1))])

    def exported_weights(self) -> dict[str, Tensor]:
        return named(encoder=self.encoder, classifier=self.classifier)
