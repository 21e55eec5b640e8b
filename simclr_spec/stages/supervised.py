"""The kind of stage `supervised`."""

# No `from __future__ import annotations`: the schemas are made from the annotations, and real ones need no evaluation.
from dataclasses import dataclass
from typing import Literal

from simclr_spec.core.fields import SHARE, described
from simclr_spec.stages.common import LabelsConfig, TrainingConfig


@dataclass(frozen=True, kw_only=True)
class SupervisedConfig(TrainingConfig):
    """Supervised training from scratch, Table 1 and Figure 4."""

    labels: LabelsConfig
    label_smoothing: float = described("label smoothing", SHARE)
    revision: Literal[1] = described("revision of this stage's arithmetic")
