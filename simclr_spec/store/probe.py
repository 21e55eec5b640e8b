"""What a store asks of its file system, tried once before anything starts: a fault is told then, and not after a training."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

from simclr_spec.core.errors import SimclrSpecError, UsageError
from simclr_spec.core.files import refusal, write_atomic
from simclr_spec.store.commit import place_first
from simclr_spec.store.layout import RunFolder, Store


def probe(store: Path) -> None:
    """In the store, or in the nearest folder above it; leaves nothing behind.

    Raises SimclrSpecError where the disk or its owner refuses, UsageError where it cannot hold a store."""
    store = store.absolute()
    above = nearest(store)
    trial = Store(above).trial()
    try:
        with _told(store, f"cannot use {store}: "):
            trial.path.mkdir()
        with _told(store, f"the store's file system ({above}) cannot write a file: "):
            write_atomic(trial.lease, b"1")
        with _told(store, f"the store's file system ({above}) cannot replace a file: "):
            write_atomic(trial.lease, b"2")
        with _told(store, f"the store's file system ({above}) refuses locks (flock: ", f"), {_LOCKS}"):
            _lock(trial.lease)
        with _told(store, f"the store's file system ({above}) has no way to commit a result (", f"), {_COMMITS}"):
            _commit(trial)
    finally:
        shutil.rmtree(trial.path, ignore_errors=True)


def nearest(store: Path) -> Path:
    """The store, or the nearest folder above it that exists."""
    return next(folder for folder in (store.absolute(), *store.absolute().parents) if folder.exists())


_LOCKS = (
    "by which two runs know of each other: mount it with them (NFS: its lock service or local_lock=flock; Lustre: flock), "
    "or name another store with --store"
)
_COMMITS = (
    "so that of two attempts only one counts: it needs hard links, or folders that are not replaced when another is "
    "renamed to them; name another store with --store"
)


@contextlib.contextmanager
def _told(store: Path, before: str, after: str = "") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if refused := refusal(error, store):
            raise SimclrSpecError(f"{refused}, or name another store with --store. Nothing started") from None
        raise UsageError(f"{before}{error.strerror or error}{after}. Nothing started") from None


def _lock(path: Path) -> None:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _commit(trial: RunFolder) -> None:
    """Two attempts at one name, of which the first must win."""
    won = []
    for attempt in (trial.new_attempt(), trial.new_attempt()):
        write_atomic(attempt.result, b"%d" % attempt.number)
        won.append(place_first(attempt.result, trial.result, trial.committed))
    if won != [True, False]:
        raise OSError("a second attempt won over the first")
