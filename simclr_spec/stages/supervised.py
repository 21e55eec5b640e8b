"""The kind of stage `supervised`."""

# No `from __future__ import annotations`: the schemas are made from the annotations, and real ones need no evaluation.
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from simclr_spec.core.fields import SHARE, described
from simclr_spec.stages.common import LabelsConfig, TrainingConfig
from simclr_spec.stages.kind import ENCODER, LABELS
from simclr_spec.stages.training import LABELLED_METRICS, PerImage, TrainingKind, classifier_of, encoder_of, whole_network


@dataclass(frozen=True, kw_only=True)
class SupervisedConfig(TrainingConfig):
    """Supervised training from scratch, Table 1 and Figure 4."""

    labels: LabelsConfig
    label_smoothing: float = described("label smoothing", SHARE)
    revision: Literal[1] = described("revision of this stage's arithmetic")

    @property
    def learns_on(self) -> LabelsConfig:
        return self.labels


def _per_image(config: SupervisedConfig, _: Mapping[str, Any]) -> PerImage:
    encoder = encoder_of(config)
    return whole_network(encoder, classifier_of(config, encoder.features))


SUPERVISED = TrainingKind(
    name="supervised",
    parameters=SupervisedConfig,
    stage="simclr_spec.train.stages.supervised:Supervised",
    metrics=LABELLED_METRICS,
    axes=(*ENCODER, *LABELS, "seed"),
    per_image=_per_image,
)
