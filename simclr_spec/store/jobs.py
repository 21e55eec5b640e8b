"""Runs under way in a store: each has a folder of its own for its jobs' files, leased for as long as it goes on."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from simclr_spec.store.layout import RunFolder, Store


@contextlib.contextmanager
def job_folder(store: Store) -> Iterator[Path]:
    """<store>/.jobs/<run> for submitit's files, removed at the end unless the run raises; what dead runs left goes too."""
    above = store.jobs
    above.mkdir(mode=0o700, exist_ok=True)
    for old in [old for old in above.iterdir() if not old.name.startswith(".")]:
        if RunFolder(old).is_free():
            shutil.rmtree(old, ignore_errors=True)
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    hidden, folder = RunFolder(above / f".{name}"), above / name
    with hidden.leased():
        hidden.path.rename(folder)  # seen once it is leased, else another run could take it for dead
        yield folder
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        above.rmdir()


def under_way(store: Store) -> bool:
    """Whether some run goes on in this store, though no Step may be running at the moment."""
    return any(RunFolder(folder).is_leased() for folder in store.jobs.glob("*"))
