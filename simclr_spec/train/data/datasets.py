"""Images and labels: loaders, their digest, labelled subsets, and the stream of training batches.

Where the files lie is data_roots.py's business.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from simclr_spec.core.errors import DataError
from simclr_spec.data import digests, label_lists, listing
from simclr_spec.data.roots import data_roots, find, label_list
from simclr_spec.stages.common import DatasetConfig, LabelsConfig
from simclr_spec.store.layout import Store
from simclr_spec.train.data.photos import Files
from simclr_spec.train.random import LABELS, ORDER, SPLIT, TEST, permutation


@dataclass(frozen=True)
class Images:
    """Both splits of a data set: uint8 (N, 3, H, W), or files; photos.parts gives batches of either."""

    train: Tensor | Files
    train_labels: Tensor  # (N,) int64
    test: Tensor | Files
    test_labels: Tensor
    train_names: tuple[str, ...] | None = None  # CLASS/FILE, where images are files

    def to(self, device: torch.device | str) -> Images:
        """The same images and labels living on a device."""
        labels = (self.train_labels.to(device), self.test_labels.to(device))
        return Images(self.train.to(device), labels[0], self.test.to(device), labels[1], self.train_names)


def load(dataset: DatasetConfig, roots: Sequence[str] = (), orientation: str = "stored", store: Store | None = None) -> Images:
    """The data set, checked against the numbers and the digest of its declaration. Raises DataError.

    What the store knows of the files is not read again."""
    folder = find(dataset.loader, dataset.name, data_roots(roots), labelled=dataset.labelled)
    folder = folder and folder.absolute()
    images = _read(dataset, folder, orientation)
    train, test, classes = len(images.train_labels), len(images.test_labels), int(images.train_labels.max()) + 1
    if sentence := dataset.miscounted((train, test, classes) if dataset.labelled else (train, None, None), folder):
        raise DataError(sentence)
    cache = store.hashes_of(folder, labelled=dataset.labelled) if store and folder else None
    if dataset.digest and (got := digest(images, cache)) != dataset.digest:
        raise digests.wrong(dataset.name, got, dataset.digest)
    return images


def _read(dataset: DatasetConfig, folder: Path | None, orientation: str) -> Images:
    if folder is None:
        return digits()
    if not dataset.labelled:
        return image_folder(folder, orientation, labelled=False)
    return _LOADERS[dataset.loader](folder, orientation)


def seen(dataset: DatasetConfig, images: Images, store: Store, tell: digests.Tell) -> str | None:
    """The digest to be recorded with a result: that of images which nothing declares. Those of other loaders never change."""
    if not digests.undeclared(dataset.loader, dataset.digest):
        return None
    return digest(images, _hashes(dataset, store), tell)


def unchanged(dataset: DatasetConfig, images: Images, store: Store, before: str | None) -> bool:
    """Whether files still hold what they held when training began: `before` is what was `seen`, unless the digest is declared.

    Asks each file for its size and time, and reads those that changed."""
    if not isinstance(images.train, Files):
        return True
    return digest(images, _hashes(dataset, store)) == (dataset.digest or before)


def _hashes(dataset: DatasetConfig, store: Store) -> Path:
    folder = find(dataset.loader, dataset.name, data_roots(), labelled=dataset.labelled)
    assert folder is not None
    return store.hashes_of(folder, labelled=dataset.labelled)


def digest(images: Images, cache: Path | None = None, tell: digests.Tell | None = None) -> str:
    """SHA-256 over every image and label in order, train then test; for files over the bytes of the files, as in content.py."""
    splits = ((images.train, images.train_labels), (images.test, images.test_labels))
    if files := [(pixels.paths, labels.tolist()) for pixels, labels in splits if isinstance(pixels, Files)]:
        return digests.digest(files, cache, tell=tell)
    sha = hashlib.sha256()
    for pixels, labels in splits:
        assert isinstance(pixels, Tensor)
        sha.update(f"{tuple(pixels.shape)}\n".encode())
        sha.update(pixels.cpu().contiguous().numpy().data)
        sha.update(labels.cpu().numpy().astype("<i8").tobytes())
    return sha.hexdigest()


def digits() -> Images:
    """scikit-learn's 1,797 real 8x8 digits, 0..16 stretched to 0..255, in three equal channels; 36 a class for testing."""
    # scikit-learn's file alone: importing scikit-learn would cost every process more than a second.
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise DataError("the digits come with scikit-learn, which is not installed: pip install scikit-learn")
    file = Path(package.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    raw = np.loadtxt(file, dtype=np.int64, delimiter=",")
    grey = torch.from_numpy((raw[:, :-1] * 255 + 8) // 16).to(torch.uint8).view(-1, 1, 8, 8)
    pixels, labels = grey.repeat(1, 3, 1, 1), torch.from_numpy(raw[:, -1])
    test = torch.zeros(len(labels), dtype=torch.bool)
    test[balanced(labels, 360, SPLIT, 0)] = True
    return Images(pixels[~test], labels[~test], pixels[test], labels[test])


_CIFAR10_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}


def cifar10(folder: Path) -> Images:
    """The original python batches. A pickle can run code: only known bytes are unpickled."""
    parts = [_cifar10_batch(folder / file, md5) for file, md5 in _CIFAR10_MD5.items()]
    pixels, labels = (torch.cat(column) for column in zip(*parts, strict=True))
    return Images(pixels[:50000], labels[:50000], pixels[50000:], labels[50000:])


def _cifar10_batch(path: Path, md5: str) -> tuple[Tensor, Tensor]:
    data = path.read_bytes()
    if hashlib.md5(data, usedforsecurity=False).hexdigest() != md5:
        raise DataError(f"{path} is not the original file (its MD5 differs), so it is not loaded")
    batch = pickle.loads(data, encoding="latin1")
    return torch.from_numpy(batch["data"]).view(-1, 3, 32, 32), torch.tensor(batch["labels"])


def image_folder(folder: Path, orientation: str = "stored", *, labelled: bool = True) -> Images:
    """ImageNet's layout, or images without labels, which are -1; see listing.py."""
    found = listing.read(folder, labelled=labelled)
    train, test = (Files(split.paths(), orientation=orientation) for split in (found.train, found.test))
    labels = [torch.tensor(split.labels, dtype=torch.int64) for split in (found.train, found.test)]
    return Images(train, labels[0], test, labels[1], found.train.files)


_LOADERS: dict[str, Callable[[Path, str], Images]] = {
    "cifar10": lambda folder, _: cifar10(folder),
    "image_folder": image_folder,
}


def balanced(labels: Tensor, count: int, *key: int) -> Tensor:
    """Sorted indices of `count` images, counts per class differing by at most one; a smaller count gives a subset."""
    rank, turn = _class_ranks(labels, *key)
    order = torch.argsort(rank * len(turn) + turn[labels.cpu()], stable=True)
    return order[:count].sort().values


def _class_ranks(labels: Tensor, *key: int) -> tuple[Tensor, Tensor]:
    """Each image's place in the shuffled list of its class (N,), and each class's turn among the classes (classes,)."""
    labels = labels.cpu()
    classes = int(labels.max()) + 1
    shuffled = permutation(*key, 0, n=len(labels))
    by_class = shuffled[labels[shuffled].argsort(stable=True)]
    counts = torch.bincount(labels, minlength=classes)
    first = counts.cumsum(0) - counts
    rank = torch.empty_like(labels)
    rank[by_class] = torch.arange(len(labels)) - first[labels[by_class]]
    return rank, permutation(*key, 1, n=classes)


def labelled(
    labels: Tensor, config: LabelsConfig, classes: int, names: Sequence[str] | None = None, roots: Sequence[str] = ()
) -> Tensor:
    """Sorted indices of the training images with labels: balanced and nested in the fraction, or the pinned published list."""
    if config.sampler == "list":
        return _listed(names, config.list_digest, roots)
    if config.fraction == 1:
        return torch.arange(len(labels))
    if config.per_class is not None:
        rank, _ = _class_ranks(labels, cast(int, config.seed), LABELS)
        found = (rank < config.per_class).nonzero()[:, 0]
        if len(found) != config.count(len(labels), classes):
            raise DataError(f"some of the {classes} classes have fewer than {config.per_class} training images")
        return found
    count = config.count(len(labels), classes)
    if count < classes:
        raise DataError(
            f"label_fraction {config.fraction} of {len(labels)} images is {count}, fewer than the {classes} classes"
        )
    return balanced(labels, count, cast(int, config.seed), LABELS)


def _listed(names: Sequence[str] | None, list_digest: str, roots: Sequence[str]) -> Tensor:
    """Indices of the images that the list with this SHA-256, found under a data root, names."""
    if names is None:
        raise DataError("a label list names files, and these images are none; set labels.sampler to 'balanced'")
    return torch.tensor(label_lists.resolve(label_list(list_digest, data_roots(roots)), names))


def evaluation_samples(labels: Tensor, count: int | None) -> Tensor:
    """Sorted indices of a class-balanced share of the test split, the same for every seed; None = all."""
    return torch.arange(len(labels)) if count is None or count >= len(labels) else balanced(labels, count, TEST)


_epoch_order = lru_cache(maxsize=3)(lambda seed, epoch, n: permutation(seed, ORDER, epoch, n=n))


def stream(positions: Tensor, examples: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Positions (B,) int64 of the endless stream of training examples -> epochs (B,) and places (B,) among the examples.

    Position p is place p % examples of epoch p // examples, shuffled anew each epoch. Train step t takes the positions from
    t * batch to (t + 1) * batch - 1: batches cross epochs, and none is smaller.
    """
    epochs, turn = positions // examples, positions % examples
    places = torch.empty_like(positions)
    for epoch in range(int(epochs.min()), int(epochs.max()) + 1):
        now = epochs == epoch
        places[now] = _epoch_order(seed, epoch, examples)[turn[now]]
    return epochs, places
