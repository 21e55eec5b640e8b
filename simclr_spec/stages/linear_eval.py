"""The kind of stage `linear_eval`."""

# No `from __future__ import annotations`: the schemas are made from the annotations, and real ones need no evaluation.
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from simclr_spec.core.fields import described
from simclr_spec.stages.common import LabelsConfig, TrainingConfig
from simclr_spec.stages.kind import LABELS, Parent
from simclr_spec.stages.training import LABELLED_METRICS, PerImage, TrainingKind, classifier_of, encoder_of


@dataclass(frozen=True, kw_only=True)
class LinearEvalConfig(TrainingConfig):
    """A linear classifier on the frozen encoder's output, §3.3."""

    labels: LabelsConfig
    encoder_bn: Literal["eval", "train"] = described("mode of the frozen encoder's BN during training")
    revision: Literal[1] = described("revision of this stage's arithmetic")

    @property
    def learns_on(self) -> LabelsConfig:
        return self.labels


def _per_image(config: LinearEvalConfig, _: Mapping[str, Any]) -> PerImage:
    """The encoder is passed without gradients."""
    encoder = encoder_of(config)
    last = classifier_of(config, encoder.features)
    return PerImage(
        forward=encoder.forward + last.forward,
        backward=last.forward,
        outputs_passed=encoder.outputs,
        trained=last.trainable,
        stored=last.trainable,
    )


LINEAR_EVAL = TrainingKind(
    name="linear_eval",
    parameters=LinearEvalConfig,
    stage="simclr_spec.train.stages.linear_eval:LinearEval",
    metrics=LABELLED_METRICS,
    axes=(*LABELS, "seed"),
    parent=Parent(role="from", kinds=("pretrain",)),
    per_image=_per_image,
)
