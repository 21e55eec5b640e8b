"""What is recorded with a result because it may move the last bits, but is not part of the Step."""

from __future__ import annotations

import platform
import socket
from typing import Any

import torch

from simclr_spec.core.code import code_version
from simclr_spec.train import distributed, recompute


def environment(device: torch.device) -> dict[str, Any]:
    """Versions, machine and shape of the run."""
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "accelerator": device.type,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "hostname": socket.gethostname(),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "recompute": recompute.wanted,
        "world_size": distributed.world_size(),
        "code": code_version(),
    }
