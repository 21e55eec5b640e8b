"""Contrastive pretraining: two views of every image, encoder and projection head, NT-Xent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from simclr_spec.stages.pretrain import PretrainConfig
from simclr_spec.store.layout import RunFolder
from simclr_spec.store.outcomes import Outcomes
from simclr_spec.train.data.datasets import ImageSet, evaluation_samples
from simclr_spec.train.evaluate import Neighbours, of_votes
from simclr_spec.train.losses.contrastive import LOSSES
from simclr_spec.train.model.encoder import Encoder
from simclr_spec.train.model.heads import Classifier, ProjectionHead
from simclr_spec.train.model.memory import Memory
from simclr_spec.train.stage import Batch, Stage, classification, named
from simclr_spec.train.tensors import to_float32

BANK = 10
"""Training images of the k-NN's bank for each test image, where `test_images` says how many are tested."""
BANK_NUMBERS = 2**26
"""Of the bank's features, at most so many numbers exist at once."""


class Pretrain(Stage[PretrainConfig]):
    """Hands on encoder and head: the trained ones, or those of the momentum encoder where `memory.handed_on` says so."""

    views = 2

    def __init__(self, config: PretrainConfig, parents: Mapping[str, RunFolder]) -> None:
        super().__init__(config, parents)
        self.encoder = Encoder(config.encoder)
        self.head = ProjectionHead(self.encoder.features, config.head, config.encoder)
        width = self.head.widths[config.linear_layer]
        self.classifier = Classifier(width, config.dataset.classes) if config.linear_head else None
        self.memory = Memory(self.encoder, self.head, config.memory, config.head.out_dim) if config.memory.enabled else None
        if config.linear_head:
            self.measures = ("total_loss", "contrast_top1", "loss", "linear_loss", "linear_train_top1")
        else:
            self.measures = ("loss", "contrast_top1")

    def measure(self, batch: Batch) -> Tensor:
        """The linear head's loss is added on features whose gradient is stopped, as in the official code.

        People are shown the contrastive loss alone: the head's, at first large, says nothing about the encoder.
        """
        x = torch.cat(batch.views)
        with self.arithmetic():
            *hidden, z = self.head(self.encoder(x))
            keys = None if self.memory is None else self.memory.keys(x)
            logits = None if self.classifier is None else self.classifier(hidden[self.config.linear_layer].detach())
        if self.memory is None or keys is None:
            loss, accuracy = LOSSES[self.config.loss].in_batch(to_float32(z), self.config.temperature)
        else:
            loss, accuracy = self.memory.loss(LOSSES[self.config.loss], to_float32(z), keys, self.config.temperature)
        if self.config.loss_mean == "examples":
            loss = loss / 2
        if logits is None:
            return torch.stack([loss, 100 * accuracy])
        linear = classification(logits, batch.labels.repeat(2))
        return torch.cat([torch.stack([loss + linear[0], 100 * accuracy, loss]), linear])

    def after_step(self) -> None:
        if self.memory is not None:
            self.memory.after_step(self.encoder, self.head)

    def monitor(self, images: ImageSet, epochs_done: int) -> dict[str, float]:
        every = self.config.knn_every
        due = self.config.dataset.classes and every and epochs_done % every == 0
        return {"knn_top1": self.knn(images).percent(1)} if due else {}

    def evaluate(self, images: ImageSet) -> dict[str, Outcomes]:
        """The k-NN monitor and the linear head; images without classes have neither."""
        tests = {"knn": self.knn(images)} if self.config.dataset.classes else {}
        if self.classifier is not None:
            below = self.head.layers[: self.config.linear_layer]
            tests["linear"] = self.test(nn.Sequential(self.encoder, *below, self.classifier), images)
        return tests

    def knn(self, images: ImageSet) -> Outcomes:
        """Of the test images among the training images (BANK for each of `test_images`), by the features that are handed on."""
        samples, encoder, config = self.test_samples(images), self.exported_modules()["encoder"], self.config
        bank = evaluation_samples(images.train_labels, config.test_images and BANK * config.test_images)
        near = Neighbours(self.outputs(encoder, images.test, samples), config.knn_neighbours)
        for part in torch.split(bank, BANK_NUMBERS // self.encoder.features):
            features = self.outputs(encoder, images.train, part)
            near.see(features, images.train_labels[part.to(images.train_labels.device)])
        votes = near.votes(cast(int, config.dataset.classes), config.knn_temperature)
        return of_votes(votes, images.labels_of(samples))

    def exported_modules(self) -> dict[str, nn.Module]:
        source = self.memory if self.memory is not None and self.config.memory.handed_on == "momentum" else self
        return {"encoder": source.encoder, "head": source.head}

    def exported_weights(self) -> dict[str, Tensor]:
        return named(**self.exported_modules())
