"""The kind of stage `linear_eval`."""

# No `from __future__ import annotations`: the schemas are made from the annotations, and real ones need no evaluation.
from dataclasses import dataclass
from typing import Literal

from simclr_spec.core.fields import described
from simclr_spec.stages.common import LabelsConfig, TrainingConfig


@dataclass(frozen=True, kw_only=True)
class LinearEvalConfig(TrainingConfig):
    """A linear classifier on the frozen encoder's output, §3.3."""

    labels: LabelsConfig
    encoder_bn: Literal["eval", "train"] = described("mode of the frozen encoder's BN during training")
    revision: Literal[1] = described("revision of this stage's arithmetic")
