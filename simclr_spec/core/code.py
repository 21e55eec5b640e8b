"""The code that runs: of a checkout its commit, else the installed version."""

from __future__ import annotations

import contextlib
import functools
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@functools.cache
def code_version() -> str:
    """The commit of the checkout, `+` when files differ from it; the installed version outside of a checkout, or without git.

    Asked for when a process begins its first Step, since later the checkout may hold other code than runs."""
    root = Path(__file__).parents[2]
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
