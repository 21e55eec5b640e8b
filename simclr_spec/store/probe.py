"""What a store asks of its file system, tried once before anything starts: a fault is told then, and not after a training."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from simclr_spec.core.errors import UsageError
from simclr_spec.core.files import write_atomic
from simclr_spec.store.layout import place_first


def probe(store: Path) -> None:
    """In the store, or in the nearest folder above it; leaves nothing behind. Raises UsageError."""
    store = store.absolute()
    above = nearest(store)
    trial = above / f".probe-{os.urandom(6).hex()}"
    try:
        _try(trial.mkdir, f"cannot use {store}: {{}}")
        _try(lambda: write_atomic(trial / "file", b"1"), f"the store's file system ({above}) cannot write a file: {{}}")
        _try(lambda: write_atomic(trial / "file", b"2"), f"the store's file system ({above}) cannot replace a file: {{}}")
        _try(lambda: _lock(trial / "file"), f"the store's file system ({above}) refuses locks (flock: {{}}), {_LOCKS}")
        _try(lambda: _commit(trial), f"the store's file system ({above}) has no way to commit a result ({{}}), {_COMMITS}")
    finally:
        shutil.rmtree(trial, ignore_errors=True)


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


def _commit(trial: Path) -> None:
    """Two attempts at one name, of which the first must win."""
    won = []
    for number in ("1", "2"):
        (trial / number).mkdir()
        write_atomic(trial / number / "result", number.encode())
        won.append(place_first(trial / number / "result", trial / "result", trial / "committed"))
    if won != [True, False]:
        raise OSError("a second attempt won over the first")
