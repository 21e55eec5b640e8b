"""Where tensors are, how precise, and of what numbers."""

from __future__ import annotations

from math import isfinite

import torch
from torch import Tensor

from simclr_spec.core.errors import WeightsError


def to_device(x: Tensor, device: torch.device) -> Tensor:
    """A copy that the CPU does not wait for: CUDA makes it wait unless it starts from pinned memory."""
    return x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else x.to(device)


def to_float32(x: Tensor) -> Tensor:
    """bfloat16 -> float32; anything else as it is."""
    return x.float() if x.dtype == torch.bfloat16 else x


def sound(x: Tensor, name: str, said: str) -> Tensor:
    """A copy in float32 of what a file, perhaps anybody's, holds under that name; `said`: of which tensor a sentence speaks.

    Raises WeightsError where a network can have no such numbers."""
    if not x.is_floating_point():
        raise WeightsError(f"{said} is made of {str(x.dtype).removeprefix('torch.')}, and no network is")
    found = x.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    least, most = map(float, found.aminmax())
    if not (isfinite(least) and isfinite(most)):
        raise WeightsError(f"{said} has numbers that are not finite: it is damaged, or its training failed")
    if name.endswith(("variance", "running_var")) and least < 0:
        raise WeightsError(f"{said} has negative numbers, which no variance is: it is damaged")
    return found
