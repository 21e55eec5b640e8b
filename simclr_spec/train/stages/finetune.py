"""Fine-tuning with labels: encoder, the head up to layer `from_layer`, and a new classifier, all of them trained."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from simclr_spec.stages.finetune import FinetuneConfig
from simclr_spec.store.layout import RunFolder
from simclr_spec.train.checkpoint import head_layers, load_part, read_weights
from simclr_spec.train.model.encoder import Encoder
from simclr_spec.train.model.heads import Classifier, ProjectionHead
from simclr_spec.train.stage import LabelledStage, named


class Finetune(LabelledStage[FinetuneConfig]):
    """Hands on encoder, kept head layers and classifier.

    The layers above are neither trained nor decayed (under SGD the official code decays them, which changes no result); as in
    the official code they run, and their BN statistics move.
    """

    def __init__(self, config: FinetuneConfig, parents: Mapping[str, RunFolder]) -> None:
        super().__init__(config, parents)
        weights, source = read_weights(parents["from"]), parents["from"].path
        there = max(head_layers(weights), config.from_layer)  # whoever trained them may have kept none above
        self.encoder = Encoder(config.encoder)
        self.head = ProjectionHead(self.encoder.features, config.head, config.encoder, there)
        self.classifier = Classifier(self.head.widths[config.from_layer], config.dataset.classes, zero=True)
        load_part(self.encoder, weights, "encoder", source)
        load_part(self.head, weights, "head", source)
        self.head.layers[config.from_layer :].requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) -> logits (B, classes)."""
        h = self.encoder(x)
        for layer in self.head.layers[: self.config.from_layer]:
            h = layer(h)
        if self.training:
            above = h.detach()
            for layer in self.head.layers[self.config.from_layer :]:
                with torch.no_grad():
                    above = layer(above)
        logits: Tensor = self.classifier(h)
        return logits

    def exported_weights(self) -> dict[str, Tensor]:
        kept = {
            f"head.layers.{name}": tensor for name, tensor in self.head.layers[: self.config.from_layer].state_dict().items()
        }
        return named(encoder=self.encoder) | kept | named(classifier=self.classifier)
