"""File systems that are small, or cannot be written to, and a person who may not do all."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """A disk of that size at the folder, for as long as the test; skips it where this user, or this container, cannot mount."""
    folder.mkdir()
    done = _called("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    if done is None or done.returncode:
        pytest.skip(f"needs to mount a tmpfs: {done.stderr.strip() if done else 'there is no mount'}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    """`ro`, or another `size=`."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def _called(*command: str) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None


def fill(file: Path) -> None:
    """To the last byte of its disk."""
    with contextlib.suppress(OSError), file.open("ab", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))


def as_others() -> list[str]:
    """What a command begins with so that permissions count, which they do not for root; skips the test where it cannot be."""
    if os.geteuid():
        return []
    command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    done = _called(*command, "true")
    if done is None or done.returncode:
        pytest.skip(f"needs setpriv to be no superuser: {done.stderr.strip() if done else 'there is none'}")
    return command
