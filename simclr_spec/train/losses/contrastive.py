"""The contrastive losses by the name that a recipe gives them, `pretrain.loss`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from simclr_spec.train.losses.nt_xent import nt_xent
from simclr_spec.train.losses.nt_xent_memory import nt_xent_memory

LossAndAccuracy = tuple[Tensor, Tensor]
"""The mean over the N images of the losses of both views; the contrast accuracy in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class ContrastiveLoss:
    """Rows (2N, D), not normalised, all of view 1, then all of view 2; and a temperature."""

    in_batch: Callable[[Tensor, float], LossAndAccuracy]
    """The rows against each other."""
    with_queue: Callable[[Tensor, Tensor, Tensor, float], LossAndAccuracy]
    """Queries (2N, D) against keys (2N, D) and a queue (K, D) of older ones."""


LOSSES: Mapping[str, ContrastiveLoss] = {"nt_xent": ContrastiveLoss(in_batch=nt_xent, with_queue=nt_xent_memory)}
