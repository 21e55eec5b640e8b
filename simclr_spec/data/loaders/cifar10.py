"""CIFAR-10 (Krizhevsky 2009) as its original python batches. A pickle can run code: only known bytes are unpickled."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from simclr_spec.core.errors import DataError, MissingDataError
from simclr_spec.core.words import shown
from simclr_spec.data.loader import ArrayLoader, Arrays, ArraySplit
from simclr_spec.data.roots import HINT, folders, missing, others
from simclr_spec.data.splits import Splits

FOLDER = "cifar-10-batches-py"
_TEST = "test_batch"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""In the order of the labels, as https://www.cs.toronto.edu/~kriz/cifar.html and the archive's batches.meta name them."""


class Original(NamedTuple):
    """What tells an original file."""

    size: int
    md5: str


FILES = {
    "data_batch_1": Original(31_035_704, "c99cafc152244af753f735de768cd75f"),
    "data_batch_2": Original(31_035_320, "d4bba439e000b95fd0a9bffe97cbabec"),
    "data_batch_3": Original(31_035_999, "54ebc095f3ab1f0389bbae665268c751"),
    "data_batch_4": Original(31_035_696, "634d18415352ddfa80567beed471001a"),
    "data_batch_5": Original(31_035_623, "482c414d41f54cd18b22e5b47cb7c3cb"),
    _TEST: Original(31_035_526, "40351d587109b95175f43aff81a1287e"),
}


class Cifar10(ArrayLoader):
    name = "cifar10"

    def find(self, dataset: str, roots: Sequence[str], *, splits: Splits = Splits.BOTH) -> Path:  # noqa: ARG002
        places = folders(dataset, roots)
        found = next((place / FOLDER for place in places if (place / FOLDER).is_dir()), None)
        if found is None:
            raise missing(f"data set '{dataset}' (folder {FOLDER})", places, others(dataset, roots))
        for file in FILES:
            if not (found / file).is_file():
                raise MissingDataError(f"{found / file} is missing: {HINT}")
        return found

    def faults(self, folder: Path) -> Iterator[str]:
        for name, original in FILES.items():
            if (found := (folder / name).stat().st_size) != original.size:
                yield f"{shown(folder / name)} is not the original file: it has {found:,} bytes, not {original.size:,}"

    def read(self, folder: Path | None, *, splits: Splits = Splits.BOTH) -> Arrays:  # noqa: ARG002
        assert folder is not None
        batches = {name: _batch(folder / name, original.md5) for name, original in FILES.items()}
        test = batches.pop(_TEST)
        return Arrays(train=_split(batches.values()), test=_split([test]), classes=CLASSES)


def _split(batches: Collection[dict[str, Any]]) -> ArraySplit:
    import numpy as np

    pixels = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
    return ArraySplit(pixels=pixels, labels=np.concatenate([np.array(batch["labels"], dtype=np.int64) for batch in batches]))


def _batch(path: Path, md5: str) -> dict[str, Any]:
    data = path.read_bytes()
    if hashlib.md5(data, usedforsecurity=False).hexdigest() != md5:
        raise DataError(f"{path} is not the original file (its MD5 differs), so it is not loaded")
    batch: dict[str, Any] = pickle.loads(data, encoding="latin1")
    return batch


LOADER = Cifar10()
