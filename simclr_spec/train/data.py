"""Images and labels: loaders, their digest, labelled subsets, and the stream of training batches.

Where the files lie is data_roots.py's business.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from simclr_spec import listing, params
from simclr_spec.data_roots import data_roots, find, label_list, miscounted
from simclr_spec.errors import DataError
from simclr_spec.train.device import sent
from simclr_spec.train.random import LABELS, ORDER, SPLIT, TEST, permutation


class Files:
    """Images in files, decoded when indexed: files[samples] is a list of uint8 (3, h, w) on `device`."""

    def __init__(self, paths: Sequence[Path], device: torch.device | str = "cpu") -> None:
        self.paths = paths
        self.device = torch.device(device)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, samples: Tensor) -> list[Tensor]:
        with ThreadPoolExecutor(min(32, os.cpu_count() or 1)) as pool:
            images = list(pool.map(lambda i: _decode(self.paths[i]), samples.tolist()))
        return [sent(image, self.device) for image in images]


def _decode(path: Path) -> Tensor:
    """-> uint8 (3, h, w). Pillow reads what ImageNet holds: greyscale, CMYK and one PNG named JPEG included."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous()
    except OSError as error:
        raise DataError(f"cannot read the image {path}: {error.strerror or error}") from None


@dataclass(frozen=True)
class Images:
    """Both splits of a data set. Either gives a batch when indexed by int64: uint8 (B, 3, H, W), or a list of (3, h, w)."""

    train: Tensor | Files
    train_labels: Tensor  # (N,) int64
    test: Tensor | Files
    test_labels: Tensor
    train_names: tuple[str, ...] | None = None  # file names, where images are files

    def pick(self, samples: Tensor) -> Tensor | list[Tensor]:
        """A batch of training images."""
        return self.train[sent(samples, self.train.device)] if isinstance(self.train, Tensor) else self.train[samples]

    def to(self, device: torch.device | str) -> Images:
        """The same images and labels living on a device."""
        train, test = (x.to(device) if isinstance(x, Tensor) else Files(x.paths, device) for x in (self.train, self.test))
        return Images(train, self.train_labels.to(device), test, self.test_labels.to(device), self.train_names)


def load(dataset: params.Dataset, roots: Sequence[str] = ()) -> Images:
    """The data set, checked against the numbers and the digest of its declaration. Raises DataError."""
    piled = dataset.classes is None
    folder = find(dataset.loader, dataset.name, data_roots(roots), labelled=not piled)
    images = digits() if folder is None else image_pile(folder) if piled else _LOADERS[dataset.loader](folder)
    counts = (len(images.train_labels), len(images.test_labels), int(images.train_labels.max()) + 1)
    found = (counts[0], None, None) if piled else counts
    if sentence := miscounted(dataset, found, folder):
        raise DataError(sentence)
    if dataset.digest and (got := digest(images)) != dataset.digest:
        raise DataError(
            f"data set '{dataset.name}' is not the declared one: digest {got[:12]}…, declared {dataset.digest[:12]}…"
        )
    return images


def digest(images: Images) -> str:
    """SHA-256 over every image and label in order, train then test; for files over the bytes of the files."""
    sha = hashlib.sha256()
    for pixels, labels in ((images.train, images.train_labels), (images.test, images.test_labels)):
        if isinstance(pixels, Tensor):
            sha.update(f"{tuple(pixels.shape)}\n".encode())
            sha.update(pixels.cpu().contiguous().numpy().data)
        else:
            sha.update(f"({len(pixels)},)\n".encode())
            for path in pixels.paths:
                sha.update(hashlib.sha256(path.read_bytes()).digest())
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


def image_folder(folder: Path) -> Images:
    """ImageNet's layout; see listing.py."""
    found = listing.read(folder)
    train, test = found.train, found.test
    names = tuple(file.rpartition("/")[2] for file in train.files)
    return Images(Files(train.paths()), torch.tensor(train.labels), Files(test.paths()), torch.tensor(test.labels), names)


def image_pile(folder: Path) -> Images:
    """Images without labels, which are -1, and none for testing."""
    train = listing.read(folder, labelled=False).train
    return Images(Files(train.paths()), torch.tensor(train.labels), Files([]), torch.tensor([], dtype=torch.int64), train.files)


_LOADERS = {"cifar10": cifar10, "image_folder": image_folder}


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
    labels: Tensor, config: params.Labels, classes: int, names: Sequence[str] | None = None, roots: Sequence[str] = ()
) -> Tensor:
    """Sorted indices of the training images with labels: balanced and nested in the fraction, or the pinned published list."""
    if config.sampler == "list":
        return _listed(names, config.list_digest, roots)
    if config.fraction == 1:
        return torch.arange(len(labels))
    if config.per_class is not None:
        rank, _ = _class_ranks(labels, cast(int, config.seed), LABELS)
        found = (rank < config.per_class).nonzero()[:, 0]
        if len(found) != config.per_class * classes:
            raise DataError(f"some of the {classes} classes have fewer than {config.per_class} training images")
        return found
    count = int(cast(float, config.fraction) * len(labels) + 1e-6)
    if count < classes:
        raise DataError(
            f"label_fraction {config.fraction} of {len(labels)} images is {count}, fewer than the {classes} classes"
        )
    return balanced(labels, count, cast(int, config.seed), LABELS)


def _listed(names: Sequence[str] | None, list_digest: str, roots: Sequence[str]) -> Tensor:
    """Indices of the file names in the list with this SHA-256, found under a data root."""
    listed = label_list(list_digest, data_roots(roots)).read_text(encoding="utf-8").split()
    index = {name: i for i, name in enumerate(names or ())}
    if unknown := [name for name in listed if name not in index]:
        raise DataError(f"{len(unknown)} of {len(listed)} listed images are not in the training split, first '{unknown[0]}'")
    return torch.tensor(sorted(index[name] for name in listed))


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
