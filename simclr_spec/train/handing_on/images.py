"""Every image below a folder through a network, a batch at a time: predictions as CSV, features as npz or Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simclr_spec.core.errors import DataError, UsageError
from simclr_spec.core.words import number, shown
from simclr_spec.data import listing
from simclr_spec.store.outcomes import TOP
from simclr_spec.train import distributed, evaluate
from simclr_spec.train.data import photos
from simclr_spec.train.model.network import Network

ROWS = 10_000
"""Of a Parquet file that are written at once."""


class Folder:
    """The images below it, at any depth, sorted."""

    def __init__(self, path: Path) -> None:
        """Raises DataError where it holds none, or pictures of kinds that are not read."""
        self.path, (self.files, faults, _) = path, listing.below(path)
        if faults:
            raise DataError("\n".join(faults))

    def __len__(self) -> int:
        return len(self.files)

    def through(self, network: Network, run: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
        """(B, D) float32 of batch after batch, as evaluations form them. Raises DataError with all that cannot be read."""
        asked, size, device = network.sight(), network.image_size, _device()
        network.to(device)
        paths = [f"{self.path}/{file}" for file in self.files]
        images, batch = photos.Files(paths, device, asked.orientation), evaluate.batch_of(size)
        for rows in torch.split(torch.arange(len(paths)), batch):
            try:
                yield evaluate.outputs(run, images, rows, asked, size, batch)
            except DataError as error:
                faults = [*photos.unreadable(paths[int(rows[0]) :], asked.orientation)]
                raise DataError("\n".join(faults) or str(error)) from None


def _device() -> torch.device:
    distributed.set_arithmetic(deterministic=False)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def predict(network: Network, folder: Folder, out: IO[bytes], names: Sequence[str]) -> None:
    """CSV: file, then class and probability of the best five, or of as many as there are. Raises UsageError, DataError."""
    count = network.class_count
    if count is None:
        raise UsageError(
            f"{network.about.label} has no classifier, so it predicts nothing: `simclr-spec embed` writes features"
        )
    named, top = _names(network, count, names), min(TOP, count)
    text = io.TextIOWrapper(out, encoding="utf-8", errors="surrogateescape", newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["file", *(f"{what}_{place}" for place in range(1, top + 1) for what in ("class", "probability"))])
    files = iter(folder.files)
    for logits in folder.through(network, network):
        best = logits.topk(top).indices
        shares = logits.softmax(1).gather(1, best).tolist()
        for places, row, file in zip(best.tolist(), shares, files, strict=False):  # the last stops before it takes a file
            told = (cell for place, share in zip(places, row, strict=True) for cell in (named[place], number(share)))
            table.writerow([file, *told])
    text.detach()


def _names(network: Network, count: int, given: Sequence[str]) -> Sequence[str]:
    if given and network.classes:
        raise UsageError(f"{network.about.label} knows the names of its classes: leave out --classes")
    if given and len(given) != count:
        raise UsageError(f"--classes names {len(given):,} classes, and the network tells {count:,} apart")
    return given or [*map(shown, network.classes)] or [str(place) for place in range(count)]


def embed(network: Network, folder: Folder, layer: int) -> NDArray[np.float32]:
    """(n, D) of the encoder (layer 0), or of a kept layer of its head. Raises UsageError, DataError."""
    found: NDArray[np.float32] | None = None
    done = 0
    for part in folder.through(network, lambda x: network.features(x, layer)):
        if found is None:
            found = np.empty((len(folder), part.shape[1]), dtype=np.float32)
        found[done : done + len(part)] = part.cpu().numpy()
        done += len(part)
    assert found is not None
    return found


def write_npz(out: IO[bytes], files: Sequence[str], features: NDArray[np.float32]) -> None:
    """Arrays `features` (n, D) and `files` (n,)."""
    np.savez(out, features=features, files=np.array(files))


def write_parquet(out: IO[bytes], files: Sequence[str], features: NDArray[np.float32]) -> None:
    """Columns `file` and `features`, a list of D numbers."""
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    width = features.shape[1]
    kind = pyarrow.schema([("file", pyarrow.string()), ("features", pyarrow.list_(pyarrow.float32(), width))])
    with ParquetWriter(out, kind) as table:
        for first in range(0, len(files), ROWS):
            rows = slice(first, first + ROWS)
            numbers = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(features[rows].reshape(-1)), width)
            names = pyarrow.array([shown(file) for file in files[rows]])
            table.write_batch(pyarrow.record_batch([names, numbers], schema=kind))
