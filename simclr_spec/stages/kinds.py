"""The registry of kinds of stage."""

from simclr_spec.stages.common import TrainingConfig
from simclr_spec.stages.distill import DistillConfig
from simclr_spec.stages.finetune import FinetuneConfig
from simclr_spec.stages.linear_eval import LinearEvalConfig
from simclr_spec.stages.pretrain import PretrainConfig
from simclr_spec.stages.supervised import SupervisedConfig

KINDS: dict[str, type[TrainingConfig]] = {
    "pretrain": PretrainConfig,
    "finetune": FinetuneConfig,
    "linear_eval": LinearEvalConfig,
    "supervised": SupervisedConfig,
    "distill": DistillConfig,
}

_TRAINED = ("loss", "train_top1", "top1", "top5")
METRICS: dict[str, tuple[str, ...]] = {
    "pretrain": (
        *("loss", "contrast_top1", "knn_top1"),
        *("total_loss", "linear_loss", "linear_train_top1", "linear_top1", "linear_top5"),
    ),
    "finetune": _TRAINED,
    "linear_eval": _TRAINED,
    "supervised": _TRAINED,
    "distill": ("loss", "teacher_agreement", "top1", "top5"),
}
"""What the result of a Step of each kind tells. A pretraining's `loss` is the contrastive one; with `linear_head` only it has
linear_* and total_loss, the sum that is minimised; knn_top1 where its images have classes."""
