"""GPUs are one run's at a time, whoever runs: a lock for each, in a folder that all users of this machine share.

A run takes the lock of a GPU alone, and then shares it with its worker there: so the GPU is free again once both have left,
however they ended. Cores have no locks: the kernel shares them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from simclr_spec.dispatch.local.slots import Slot, nvidia_smi

FOLDER = Path("/tmp/simclr-spec-gpus")


@dataclass
class Gpus:
    """The locks of this run's slots."""

    names: dict[Slot, str]
    held: dict[Slot, IO[bytes]] = field(default_factory=dict)

    @classmethod
    def of(cls, slots: Iterable[Slot]) -> Gpus:
        with_gpu = [slot for slot in slots if slot.gpu is not None]
        uuids = re.findall(r"UUID: (GPU-[^)]+)", nvidia_smi("-L")) if with_gpu else []
        return cls({slot: _name(slot.gpu, uuids) for slot in with_gpu})

    def take(self, slot: Slot) -> bool:
        """False where another run uses its GPU."""
        if slot not in self.names:
            return True
        file = _opened(self.names[slot])
        if _lock(file, fcntl.LOCK_EX):
            file.truncate(0)
            file.write(str(os.getpid()).encode())
            if _lock(file, fcntl.LOCK_SH):  # for a moment in between the lock is nobody's
                self.held[slot] = file
                return True
        file.close()
        return False

    def release(self, slot: Slot) -> None:
        if slot in self.held:
            self.held.pop(slot).close()

    def others(self) -> dict[Slot, int]:
        """The slots whose GPUs other runs use, and the process of each run."""
        users = {slot: _user(name) for slot, name in self.names.items() if slot not in self.held}
        return {slot: pid for slot, pid in users.items() if pid not in (0, os.getpid())}


def share(name: str) -> IO[bytes]:
    """A worker's part in the lock that its run holds, for as long as the file is open."""
    file = _opened(name)
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


def _name(gpu: int | str | None, uuids: list[str]) -> str:
    """A GPU may be called by its number, its UUID or the beginning of that; without a driver to ask, by what it is called."""
    if isinstance(gpu, int):
        return uuids[gpu] if gpu < len(uuids) else str(gpu)
    found = [uuid for uuid in uuids if uuid.startswith(str(gpu))]
    return (found[0] if len(found) == 1 else str(gpu)).replace("/", "_")


def _opened(name: str) -> IO[bytes]:
    """Made for all users, and no link of anybody followed; Linux lets nobody make a file anew that another has made there."""
    with contextlib.suppress(FileExistsError):
        FOLDER.mkdir()
        FOLDER.chmod(0o1777)
    folder = os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        with contextlib.suppress(FileExistsError):
            made = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, dir_fd=folder)
            os.fchmod(made, 0o666)
            os.close(made)
        return open(os.open(name, os.O_RDWR | os.O_NOFOLLOW, dir_fd=folder), "r+b", buffering=0)
    finally:
        os.close(folder)


def _lock(file: IO[bytes], how: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(file, how | fcntl.LOCK_NB)
        return True
    return False


def _user(name: str) -> int:
    """The run that holds the lock; 0 where none does."""
    with _opened(name) as file:
        return 0 if _lock(file, fcntl.LOCK_EX) else int(file.read() or 0)
