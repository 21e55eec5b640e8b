"""The kind of stage `distill`."""

# No `from __future__ import annotations`: the schemas are made from the annotations, and real ones need no evaluation.
from dataclasses import dataclass
from typing import Literal

from simclr_spec.core.fields import POSITIVE, SHARE, described
from simclr_spec.stages.common import LabelsConfig, TrainingConfig


@dataclass(frozen=True, kw_only=True)
class DistillConfig(TrainingConfig):
    """A student without projection head learns a teacher's predictions on unlabelled images, Eq. 2 and Eq. 3."""

    temperature: float = described("temperature of teacher and student", POSITIVE)
    alpha: float = described("Eq. 3's weight of the distillation loss; 1 = Eq. 2, no labels", SHARE)
    labels: LabelsConfig = described("labels for Eq. 3; those of the teacher")
    images: Literal["all", "labelled"] = described("images on which the student learns: all, or the labelled ones")
    temperature_squared: bool = described("multiply the loss by the squared temperature (the colab does, Eq. 2 does not)")
    student_init: Literal["scratch"] = described("the student's initial weights")
    revision: Literal[1] = described("revision of this stage's arithmetic")
