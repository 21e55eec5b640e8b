"""The kind of stage `distill`."""

# No `from __future__ import annotations`: the schemas are made from the annotations, and real ones need no evaluation.
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from simclr_spec.core.fields import POSITIVE, SHARE, described
from simclr_spec.stages.common import LabelsConfig, TrainingConfig
from simclr_spec.stages.kind import ENCODER, Parent
from simclr_spec.stages.training import PerImage, TrainingKind, classifier_of, encoder_of, whole_network


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

    @property
    def learns_on(self) -> LabelsConfig | None:
        return None if self.images == "all" else self.labels

    @property
    def labels_read(self) -> LabelsConfig | None:
        """Eq. 2 on all images knows no labels."""
        return None if self.images == "all" and self.alpha == 1 else self.labels


def _per_image(config: DistillConfig, parents: Mapping[str, Any]) -> PerImage:
    """The student's training, and the teacher's encoder passed without gradients."""
    encoder = encoder_of(config)
    student = whole_network(encoder, classifier_of(config, encoder.features))
    teacher = encoder_of(parents["teacher"], config.dataset.image_size)
    return replace(student, forward=student.forward + teacher.forward, outputs_passed=teacher.outputs)


DISTILL = TrainingKind(
    name="distill",
    parameters=DistillConfig,
    stage="simclr_spec.train.stages.distill:Distill",
    metrics=("loss", "teacher_agreement", "top1", "top5"),
    axes=(*ENCODER, "seed"),
    parent=Parent(role="teacher", kinds=("finetune", "distill", "import"), classifies=True),
    priced_with_parents=True,
    per_image=_per_image,
)
