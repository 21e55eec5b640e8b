"""What is recorded with a result because it may move the last bits, but is not part of the Step."""

from __future__ import annotations

import contextlib
import functools
import platform
import socket
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

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


@functools.cache
def code_version() -> str:
    """The commit of the checkout, `+` when files differ from it; the installed version outside of a checkout, or without git.

    Asked for when a process begins its first Step, since later the checkout may hold other code than runs."""
    root = Path(__file__).parents[3]
    if (root / ".git").exists():
        git = ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
        with contextlib.suppress(OSError):
            found = subprocess.run(git, capture_output=True, text=True, check=False)
            if found.returncode == 0:
                return found.stdout.strip()
    try:
        return version("simclr-spec")
    except PackageNotFoundError:
        return "unknown"
