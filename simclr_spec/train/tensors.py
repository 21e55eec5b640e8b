"""Where tensors are, and how precise."""

from __future__ import annotations

import torch
from torch import Tensor


def to_device(x: Tensor, device: torch.device) -> Tensor:
    """A copy that the CPU does not wait for: CUDA makes it wait unless it starts from pinned memory."""
    return x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else x.to(device)


def to_float32(x: Tensor) -> Tensor:
    """bfloat16 -> float32; anything else as it is."""
    return x.float() if x.dtype == torch.bfloat16 else x
