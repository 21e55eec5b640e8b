"""What a store asks of its file system, tried once before anything starts: a fault is told then, and not after a training."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path

from simclr_spec.core.errors import UsageError
from simclr_spec.core.files import write_atomic
from simclr_spec.store.commit import place_first
from simclr_spec.store.layout import RunFolder, Store


def probe(store: Path) -> None:
    """In the store, or in the nearest folder above it; leaves nothing behind. Raises UsageError."""
    store = store.absolute()
    above = nearest(store)
    trial = Store(above).trial()
    try:
        _try(trial.path.mkdir, f"cannot use {store}: {{}}")
        _try(lambda: write_atomic(trial.lease, b"1"), f"the store's file system ({above}) cannot write a file: {{}}")
        _try(lambda: write_atomic(trial.lease, b"2"), f"the store's file system ({above}) cannot replace a file: {{}}")
        _try(lambda: _lock(trial.lease), f"the store's file system ({above}) refuses locks (flock: {{}}), {_LOCKS}")
        _try(lambda: _commit(trial), f"the store's file system ({above}) has no way to commit a result ({{}}), {_COMMITS}")
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


def _try(what: Callable[[], object], sentence: str) -> None:
    try:
        what()
    except OSError as error:
        raise UsageError(f"{sentence.format(error.strerror or error)}. Nothing started") from None


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
