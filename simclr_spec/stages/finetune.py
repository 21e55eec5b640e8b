"""The kind of stage `finetune`."""

# No `from __future__ import annotations`: the schemas are made from the annotations, and real ones need no evaluation.
from dataclasses import dataclass
from typing import Literal

from simclr_spec.core.fields import described
from simclr_spec.stages.common import HeadConfig, LabelsConfig, TrainingConfig


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(TrainingConfig):
    """Fine-tuning the encoder and the lower layers of its head with labels, §2 and §3.1."""

    head: HeadConfig
    labels: LabelsConfig
    from_layer: int = described("layer of the head on which the classifier sits; 0 = the head's input", minimum=0)
    revision: Literal[1] = described("revision of this stage's arithmetic")
