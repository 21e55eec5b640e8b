"""The kind of stage `linear_eval`."""

# No `from __future__ import annotations`: the schemas are made from the annotations, and real ones need no evaluation.
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from simclr_spec.core.fields import described
from simclr_spec.stages import network
from simclr_spec.stages.common import HeadConfig, LabelsConfig, TrainingConfig
from simclr_spec.stages.kind import LABELS, Parent
from simclr_spec.stages.training import LABELLED_METRICS, PerImage, TrainingKind, classifier_of, encoder_of


@dataclass(frozen=True, kw_only=True)
class LinearEvalConfig(TrainingConfig):
    """A linear classifier on the frozen encoder, or on a layer of its frozen head, §3.3."""

    head: HeadConfig
    labels: LabelsConfig
    from_layer: int = described("layer of the head on which the classifier sits; 0 = the head's input", minimum=0)
    encoder_bn: Literal["eval", "train"] = described("mode of the BN of what is frozen, during training")
    revision: Literal[1] = described("revision of this stage's arithmetic")

    @property
    def learns_on(self) -> LabelsConfig:
        return self.labels


def _per_image(config: LinearEvalConfig, _: Mapping[str, Any]) -> PerImage:
    """Encoder and kept head layers are passed without gradients."""
    encoder = encoder_of(config)
    kept = network.head(encoder.features, vars(config.head), config.from_layer)
    last = classifier_of(config, kept.features)
    return PerImage(
        forward=encoder.forward + kept.forward + last.forward,
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
    axes=(*LABELS, "from_layer", "seed"),
    parent=Parent(role="from", kinds=("pretrain", "import")),
    layer_of_head="from_layer",
    per_image=_per_image,
)
