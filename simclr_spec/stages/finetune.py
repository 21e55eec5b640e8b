"""The kind of stage `finetune`."""

# No `from __future__ import annotations`: the schemas are made from the annotations, and real ones need no evaluation.
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from simclr_spec.core.fields import described
from simclr_spec.stages import network
from simclr_spec.stages.common import HeadConfig, LabelsConfig, TrainingConfig
from simclr_spec.stages.kind import LABELS, Parent
from simclr_spec.stages.training import LABELLED_METRICS, PerImage, TrainingKind, classifier_of, encoder_of, whole_network


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(TrainingConfig):
    """Fine-tuning the encoder and the lower layers of its head with labels, §2 and §3.1."""

    head: HeadConfig
    labels: LabelsConfig
    from_layer: int = described("layer of the head on which the classifier sits; 0 = the head's input", minimum=0)
    revision: Literal[1] = described("revision of this stage's arithmetic")

    @property
    def learns_on(self) -> LabelsConfig:
        return self.labels


def _per_image(config: FinetuneConfig, _: Mapping[str, Any]) -> PerImage:
    encoder = encoder_of(config)
    kept = network.head(encoder.features, vars(config.head), config.from_layer)
    return whole_network(encoder, kept, classifier_of(config, kept.features))


FINETUNE = TrainingKind(
    name="finetune",
    parameters=FinetuneConfig,
    stage="simclr_spec.train.stages.finetune:Finetune",
    metrics=LABELLED_METRICS,
    axes=(*LABELS, "from_layer", "seed"),
    parent=Parent(role="from", kinds=("pretrain", "import")),
    layer_of_head="from_layer",
    per_image=_per_image,
)
