"""Who works in a run folder: a locked file that also says which process, and when it was last heard of.

The rule, in this order:

1. The lock (flock) is refused: some process holds the lease. The kernel frees a dead process's lock at once.
2. The file is empty: the lease is free. A holder that leaves empties it; versions before heartbeats wrote nothing into it.
3. The holder's machine is this one: free, since here its lock would be seen.
4. The holder's machine is another, whose locks may not be seen here (NFS with local_lock, Lustre without flock): with a fresh
   heartbeat it works. With an old one nobody here can say: `unknown`. Such a lease may be taken over by who means to.

Two that begin in the same instant where locks are not seen may both train; the commit lets one of them win.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, Literal

Standing = Literal["free", "held", "unknown"]
BEAT_SECONDS = 5.0
FRESH_SECONDS = 60.0
"""Twelve beats, so that clocks may differ by some seconds and a file system may show a write late."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """What the file says of its holder."""

    host: str
    machine: str
    """the kernel since its start, which a name alone does not tell"""
    pid: int
    beat: float
    """time.time() of the last heartbeat, on the holder's clock"""

    def is_fresh(self) -> bool:
        """Whichever clock is ahead."""
        return abs(time.time() - self.beat) < FRESH_SECONDS


@dataclass(frozen=True)
class Lease:
    """The file at `path`."""

    path: Path

    @contextlib.contextmanager
    def taken(self) -> Iterator[bool]:
        """Hold the lease, with a heartbeat; yields False when another process holds it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0) as file:
            locked = _lock(file, fcntl.LOCK_EX, patience=10)  # whoever asks for its standing locks it for a moment
            if not locked or _standing(_holder(file)) == "held":
                yield False
                return
            with _beating(file):
                yield True

    def standing(self) -> Standing:
        """By the rule above."""
        try:
            with self.path.open("rb") as file:
                if not _lock(file, fcntl.LOCK_SH):  # which those who ask do not refuse each other, nor NFS to a reader
                    return "held"
                return _standing(_holder(file))
        except FileNotFoundError:
            return "free"

    def holder(self) -> Holder | None:
        """The process that holds it, or did until it was killed."""
        try:
            with self.path.open("rb") as file:
                return _holder(file)
        except FileNotFoundError:
            return None


def _standing(holder: Holder | None) -> Standing:
    """Of a lease whose lock nobody holds, as far as can be seen here."""
    if holder is None or holder.machine == _machine():
        return "free"
    return "held" if holder.is_fresh() else "unknown"


def _holder(file: IO[bytes]) -> Holder | None:
    file.seek(0)
    try:
        written = json.loads(file.read())
        return Holder(**{field.name: written[field.name] for field in fields(Holder)})  # some have more
    except (ValueError, TypeError, KeyError):  # empty, or cut short
        return None


@contextlib.contextmanager
def _beating(file: IO[bytes]) -> Iterator[None]:
    """Write the holder now and every few seconds; at the end nothing."""
    end = threading.Event()
    _beat(file)
    thread = threading.Thread(target=_beat_until, args=(file, end), daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
        with contextlib.suppress(OSError):  # the folder's file system may be gone, and the lock with it
            os.ftruncate(file.fileno(), 0)


def _beat_until(file: IO[bytes], end: threading.Event) -> None:
    while not end.wait(BEAT_SECONDS):
        _beat(file)


def _beat(file: IO[bytes]) -> None:
    """One write over the last one, and as long: who reads meanwhile sees the one or the other."""
    holder = Holder(host=os.uname().nodename, machine=_machine(), pid=os.getpid(), beat=time.time())
    with contextlib.suppress(OSError):  # a full disk, for instance: the lock still holds
        os.pwrite(file.fileno(), json.dumps(asdict(holder)).encode().ljust(500) + b"\n", 0)
        os.fsync(file.fileno())  # other machines see it then


def _machine() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _lock(file: IO[bytes], how: int, patience: int = 1) -> bool:
    """Try so many times, 20 ms apart."""
    for rest in reversed(range(patience)):
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(0.02 if rest else 0)
    return False
