"""Distillation: cross entropy between a teacher's and a student's softened predictions (Eq. 2, Eq. 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def distillation(
    student: Tensor,
    teacher: Tensor,
    temperature: float,
    *,
    labels: Tensor | None = None,
    alpha: float = 1.0,
    temperature_squared: bool = False,
) -> Tensor:
    """Eq. 2 (alpha 1), or Eq. 3: (1 - alpha) x cross entropy with the labels + alpha x distillation; means over the batch.

    student, teacher: (B, classes) logits; labels: (B,) int64, -1 = no label (contributes 0 to the first sum).
    """
    with torch.no_grad():
        target = F.softmax(teacher / temperature, dim=1)
    loss = F.cross_entropy(student / temperature, target)
    if temperature_squared:
        loss = loss * temperature**2
    if alpha == 1 or labels is None:
        return loss
    supervised = F.cross_entropy(student, labels, ignore_index=-1, reduction="sum") / len(labels)
    return (1 - alpha) * supervised + alpha * loss
