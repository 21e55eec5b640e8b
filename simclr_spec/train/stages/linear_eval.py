"""A linear classifier on the frozen encoder's output (layer 0, the head's input)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from simclr_spec.stages.linear_eval import LinearEvalConfig
from simclr_spec.store.layout import RunFolder
from simclr_spec.train.checkpoint import load_part, read_weights
from simclr_spec.train.model.encoder import Encoder
from simclr_spec.train.model.heads import Classifier
from simclr_spec.train.stages.stage import LabelledStage, named


class LinearEval(LabelledStage[LinearEvalConfig]):
    """Hands on the classifier; with `encoder_bn` train the encoder too, whose moving statistics have changed."""

    def __init__(self, config: LinearEvalConfig, parents: Mapping[str, RunFolder]) -> None:
        super().__init__(config, parents)
        self.loaded = ("encoder",) if config.encoder_bn == "eval" else ()
        self.encoder = Encoder(config.encoder)
        self.classifier = Classifier(self.encoder.features, config.dataset.classes, zero=True)
        load_part(self.encoder, read_weights(parents["from"]), "encoder", parents["from"].path)
        self.encoder.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> LinearEval:
        super().train(mode)
        if self.config.encoder_bn == "eval":
            self.encoder.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) -> logits (B, classes)."""
        with torch.no_grad():
            h = self.encoder(x)
        logits: Tensor = self.classifier(h)
        return logits

    def exported_weights(self) -> dict[str, Tensor]:
        moved = {} if self.loaded else {"encoder": self.encoder}
        return named(**moved, classifier=self.classifier)
