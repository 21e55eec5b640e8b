"""The memory of §3.1: a momentum encoder and a queue of its past outputs, as in MoCo.

The queue is shifted, not cycled, so that it needs no pointer: weights and queue are all its state. It starts with random unit
vectors, as MoCo's does; they have left after keys / (2 x batch) train steps.
"""

from __future__ import annotations

from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simclr_spec.stages.pretrain import MemoryConfig
from simclr_spec.train import distributed
from simclr_spec.train.losses.contrastive import ContrastiveLoss
from simclr_spec.train.model.encoder import Encoder
from simclr_spec.train.model.heads import ProjectionHead
from simclr_spec.train.tensors import to_float32


class Memory(nn.Module):
    """Copies of encoder and head that follow the trained ones after every train step: w <- decay w + (1 - decay) trained."""

    queue: Tensor

    def __init__(self, encoder: Encoder, head: ProjectionHead, config: MemoryConfig, out_dim: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = deepcopy(encoder).requires_grad_(False)
        self.head = deepcopy(head).requires_grad_(False)
        self.register_buffer("queue", F.normalize(torch.randn(config.keys, out_dim), dim=1))
        self._new: list[Tensor] = []

    @torch.no_grad()
    def keys(self, x: Tensor) -> Tensor:
        """(2N, 3, S, S), all of view 1, then all of view 2 -> (2N, out_dim), kept for the queue until the train step ends."""
        moving = [] if self.config.bn_statistics == "forward" else self._statistics(self)
        before = [tensor.clone() for tensor in moving]
        keys = to_float32(self.head(self.encoder(x))[-1])
        for tensor, value in zip(moving, before, strict=True):
            tensor.copy_(value)
        self._new.append(keys)
        return keys

    def loss(self, contrastive: ContrastiveLoss, z: Tensor, keys: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """z, keys: (2N, out_dim) -> the loss against keys and queue, and the contrast accuracy in [0, 1]."""
        return contrastive.with_queue(z, z if self.config.in_batch == "online" else keys, self.queue, temperature)

    @torch.no_grad()
    def after_step(self, encoder: Encoder, head: ProjectionHead) -> None:
        """Follow the trained networks, and put the train step's keys into the queue."""
        for mine, trained in ((self.encoder, encoder), (self.head, head)):
            torch._foreach_lerp_(list(mine.parameters()), list(trained.parameters()), 1 - self.config.decay)
            if self.config.bn_statistics == "average":
                torch._foreach_lerp_(self._statistics(mine), self._statistics(trained), 1 - self.config.decay)
        views = [torch.cat(parts) for parts in zip(*(self._whole(keys) for keys in self._new), strict=True)]
        self._new.clear()
        new = F.normalize(torch.cat(views if self.config.enqueue == "both" else views[:1]), dim=1)
        self.queue.copy_(torch.cat([self.queue, new])[-self.config.keys :])

    def _whole(self, keys: Tensor) -> tuple[Tensor, ...]:
        """Both views of a micro-batch over all ranks: in the order of samples, whatever the number of ranks."""
        return tuple(distributed.gather(view) for view in keys.chunk(2))

    def _statistics(self, module: nn.Module) -> list[Tensor]:
        return [tensor for name, tensor in module.named_buffers() if "running_" in name]
