"""Contrastive pretraining."""

# No `from __future__ import annotations`: the schemas are made from the annotations, and real ones need no evaluation.
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from simclr_spec.core.fields import POSITIVE, SHARE, described
from simclr_spec.stages import network
from simclr_spec.stages.common import HeadConfig, TrainingConfig
from simclr_spec.stages.kind import ENCODER, HEAD
from simclr_spec.stages.training import PerImage, TrainingKind, classifier_of, encoder_of


@dataclass(frozen=True, kw_only=True)
class MemoryConfig:
    """A momentum encoder and a FIFO queue of its outputs (MoCo), §3.1; the paper leaves its details open."""

    enabled: bool = described("use the memory")
    keys: int = described("length of the queue", minimum=1)
    decay: float = described("decay of the momentum encoder per train step", SHARE)
    bn_statistics: Literal["forward", "average"] = described(
        "momentum encoder's BN statistics: moved by its own forward pass, or averaged"
    )
    enqueue: Literal["both", "first"] = described("views whose keys enter the queue")
    in_batch: Literal["momentum", "online"] = described("network that makes the in-batch contrast examples")
    queries: Literal["both"] = described("views that are compared with keys and queue")
    handed_on: Literal["momentum", "online"] = described("network that later stages start from")


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(TrainingConfig):
    """Contrastive pretraining without labels, §2 and §3.1."""

    head: HeadConfig
    memory: MemoryConfig
    loss: Literal["nt_xent"] = described("contrastive loss, Eq. 1")
    loss_mean: Literal["images", "examples"] = described("over N images, the losses of both views added; or over the 2N views")
    temperature: float = described("temperature of the contrastive loss", POSITIVE)
    linear_head: bool = described("also train a linear classifier on stop-gradient features: an extra metric")
    linear_layer: int = described("layer of the head that this classifier reads; 0 = the head's input", minimum=0)
    knn_neighbours: int = described("neighbours of the cosine k-NN monitor", minimum=1)
    knn_temperature: float = described("temperature of the k-NN monitor's votes", POSITIVE)
    knn_every: int = described("epochs between k-NN monitors; 0 = at the end only", minimum=0)
    revision: Literal[1] = described("revision of this stage's arithmetic")


def _per_image(config: PretrainConfig, _: Mapping[str, Any]) -> PerImage:
    """Two views; with the memory, both pass the momentum encoder without gradients."""
    encoder = encoder_of(config)
    head = network.head(encoder.features, vars(config.head))
    below = network.head(encoder.features, vars(config.head), config.linear_layer)
    linear = classifier_of(config, below.features)
    passes = 2 if config.memory.enabled else 1
    return PerImage(
        forward=passes * 2 * (encoder.forward + head.forward),
        backward=2 * (encoder.backward + head.backward),
        passes=2,
        outputs_passed=(passes - 1) * 2 * encoder.outputs,
        trained=encoder.trainable + head.trainable + config.linear_head * linear.trainable,
        stored=encoder.total + head.total,
    )


PRETRAIN = TrainingKind(
    name="pretrain",
    parameters=PretrainConfig,
    stage="simclr_spec.train.stages.pretrain:Pretrain",
    # `loss` is the contrastive one. With `linear_head` only: linear_* and total_loss, the sum that is minimised. knn_top1
    # where the images have classes.
    metrics=(
        *("loss", "contrast_top1", "knn_top1"),
        *("total_loss", "linear_loss", "linear_train_top1", "linear_top1", "linear_top5"),
    ),
    axes=(*ENCODER, *HEAD, "seed"),
    needs_classes=False,
    needing_classes=("linear_head",),
    layer_of_head="linear_layer",
    for_others=True,
    per_image=_per_image,
)
