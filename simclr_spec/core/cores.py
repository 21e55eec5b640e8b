"""CPU cores that this process may use."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup/cpu.max")


def cores() -> int:
    """At least 1: affinity and the container's quota count, not what the machine has."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = CGROUP.read_text().split()
        count = min(count, max(1, round(int(quota) / int(period))))
    return count
