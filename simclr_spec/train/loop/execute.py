"""One attempt at a Step: lease, attempt folder, record and signals around the training of loop.py."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from simclr_spec.core.errors import UsageError
from simclr_spec.core.files import read_json
from simclr_spec.store.layout import Attempt, RunFolder
from simclr_spec.train import Interrupted, distributed
from simclr_spec.train.loop.attempt import recorded, stopping
from simclr_spec.train.loop.fit import Work, train


def work(path: Path) -> None:
    """See `simclr_spec.train.execute`."""
    folder = RunFolder(path.resolve())
    step = read_json(folder.step, "fingerprint", "kind", "label", "params", "needs")
    if step is None:
        raise UsageError(f"{path} is not a run folder: it has no {folder.step.name}")
    device = distributed.start()
    with _leased(folder) as mine, stopping(folder) as stop:
        if mine:
            folder.settle()
        if not distributed.tell(mine and not folder.done):
            return
        attempt = distributed.tell(folder.new_attempt() if distributed.rank() == 0 else Attempt(folder.path))
        with recorded(attempt) as record:
            train(Work(folder, attempt, step, device, stop, record))
    if stop.asked:
        raise Interrupted


@contextlib.contextmanager
def _leased(folder: RunFolder) -> Iterator[bool]:
    """Rank 0 holds the lease for all ranks."""
    if distributed.rank() == 0:
        with folder.leased() as mine:
            yield mine
    else:
        yield False
