"""A linear classifier on the frozen encoder's output (layer 0, the head's input), or on that of a layer of the frozen head."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from simclr_spec.stages.linear_eval import LinearEvalConfig
from simclr_spec.store.layout import RunFolder
from simclr_spec.train.checkpoint import load_part, read_weights
from simclr_spec.train.model.encoder import Encoder
from simclr_spec.train.model.heads import Classifier, ProjectionHead
from simclr_spec.train.stage import LabelledStage, named


class LinearEval(LabelledStage[LinearEvalConfig]):
    """Hands on the classifier; with `encoder_bn` train what is frozen too, whose moving statistics have changed."""

    def __init__(self, config: LinearEvalConfig, parents: Mapping[str, RunFolder]) -> None:
        super().__init__(config, parents)
        self.loaded = ("encoder", "head") if config.encoder_bn == "eval" else ()
        self.encoder = Encoder(config.encoder)
        self.head = ProjectionHead(self.encoder.features, config.head, config.encoder, config.from_layer)
        weights, source = read_weights(parents["from"]), parents["from"].path
        load_part(self.encoder, weights, "encoder", source)
        load_part(self.head, weights, "head", source)
        self.requires_grad_(False)
        self.classifier = Classifier(self.head.widths[config.from_layer], config.dataset.classes, zero=True)
        self.train()

    def train(self, mode: bool = True) -> LinearEval:
        super().train(mode)
        if self.config.encoder_bn == "eval":
            self.encoder.eval()
            self.head.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) -> logits (B, classes)."""
        with torch.no_grad():
            h = self.head(self.encoder(x))[-1]
        logits: Tensor = self.classifier(h)
        return logits

    def exported_weights(self) -> dict[str, Tensor]:
        moved = {} if self.loaded else {"encoder": self.encoder, "head": self.head}
        return named(**moved, classifier=self.classifier)
