"""Supervised training from scratch: encoder and classifier."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from simclr_spec.stages.supervised import SupervisedConfig
from simclr_spec.store.layout import RunFolder
from simclr_spec.train.model.encoder import Encoder
from simclr_spec.train.model.heads import Classifier
from simclr_spec.train.stage import LabelledStage, named


class Supervised(LabelledStage[SupervisedConfig]):
    """Hands on encoder and classifier."""

    def __init__(self, config: SupervisedConfig, parents: Mapping[str, RunFolder]) -> None:
        super().__init__(config, parents)
        self.label_smoothing = config.label_smoothing
        self.encoder = Encoder(config.encoder)
        self.classifier = Classifier(self.encoder.features, config.dataset.classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) -> logits (B, classes)."""
        logits: Tensor = self.classifier(self.encoder(x))
        return logits

    def exported_weights(self) -> dict[str, Tensor]:
        return named(encoder=self.encoder, classifier=self.classifier)
