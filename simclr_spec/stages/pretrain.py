"""Contrastive pretraining."""

# No `from __future__ import annotations`: the schemas are made from the annotations, and real ones need no evaluation.
from dataclasses import dataclass
from typing import Literal

from simclr_spec.core.fields import POSITIVE, SHARE, described
from simclr_spec.stages.common import HeadConfig, TrainingConfig


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
