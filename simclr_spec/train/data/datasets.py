"""Images and labels as tensors: labelled subsets, and the stream of training batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from simclr_spec.core.errors import DataError
from simclr_spec.core.splitmix import LABELS, ORDER, TEST
from simclr_spec.data import digests, label_lists
from simclr_spec.data.listing import Listing
from simclr_spec.data.loader import Arrays
from simclr_spec.data.registry import LOADERS, undeclared
from simclr_spec.data.roots import data_roots, label_list
from simclr_spec.data.splits import Splits
from simclr_spec.stages.common import DatasetConfig, LabelsConfig
from simclr_spec.store.layout import Store
from simclr_spec.train.data.photos import Files, chunks
from simclr_spec.train.random import permutation


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """Both splits of a data set: uint8 (N, 3, H, W), or files; photos.chunks gives batches of either."""

    train: Tensor | Files
    train_labels: Tensor  # (N,) int64
    test: Tensor | Files
    test_labels: Tensor
    listing: Listing | None = None  # where images are files
    classes: tuple[str, ...] = ()  # their names, in the order of the labels

    @property
    def train_names(self) -> tuple[str, ...] | None:
        """CLASS/FILE, where images are files."""
        return None if self.listing is None else self.listing.train.files

    def labels_of(self, samples: Tensor) -> Tensor:
        """(n,) int64: of test images (n,)."""
        return self.test_labels[samples.to(self.test_labels.device)]

    def to(self, device: torch.device | str) -> ImageSet:
        """The same images and labels living on a device."""
        names = ("train", "train_labels", "test", "test_labels")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


def load(
    dataset: DatasetConfig, orientation: str = "stored", store: Store | None = None, splits: Splits | None = None
) -> ImageSet:
    """These splits of the data set, or all, checked against the numbers and the digest of its declaration. Raises DataError.

    What the store knows of the files is not read again."""
    loader, splits = LOADERS[dataset.loader], splits or dataset.splits
    folder = loader.find(dataset.name, data_roots(), splits=splits)
    folder = folder and folder.absolute()
    found = loader.read(folder, splits=splits)
    if sentence := dataset.miscounted(found.counts, folder):
        raise DataError(sentence)
    cache = store.hashes_of(folder, splits) if store and folder else None
    if dataset.digest and (digest := loader.digest(found, cache)) != dataset.digest:
        raise digests.wrong(dataset.name, digest, dataset.digest)
    return as_tensors(found, orientation)


def as_tensors(found: Arrays | Listing, orientation: str = "stored") -> ImageSet:
    """What a loader has read; image files are opened when they are needed."""
    labels = [torch.as_tensor(split.labels, dtype=torch.int64) for split in (found.train, found.test)]
    known: Any = {"train_labels": labels[0], "test_labels": labels[1], "classes": found.classes}
    if isinstance(found, Listing):
        train, test = (Files(split.paths(), orientation=orientation) for split in (found.train, found.test))
        return ImageSet(train=train, test=test, listing=found, **known)
    pixels = [torch.from_numpy(split.pixels) for split in (found.train, found.test)]
    return ImageSet(train=pixels[0], test=pixels[1], **known)


def seen(dataset: DatasetConfig, images: ImageSet, store: Store, tell: digests.Tell) -> str | None:
    """The digest to be recorded with a result: that of images which nothing declares. Those of other loaders never change."""
    return _digest(dataset, images, store, tell) if undeclared(dataset.loader, dataset.digest) else None


def unchanged(dataset: DatasetConfig, images: ImageSet, store: Store, before: str | None) -> bool:
    """Whether files still hold what they held when training began: `before` is what was `seen`, unless the digest is declared.

    Asks each file for its size and time, and reads those that changed."""
    return images.listing is None or _digest(dataset, images, store) == (dataset.digest or before)


def _digest(dataset: DatasetConfig, images: ImageSet, store: Store, tell: digests.Tell | None = None) -> str:
    """Of image files as they are now."""
    return LOADERS[dataset.loader].digest(images.listing, cache_of(dataset, images, store), tell=tell)


def cache_of(dataset: DatasetConfig, images: ImageSet, store: Store) -> Path | None:
    """What the store remembers of them, where they are files."""
    if images.listing is None:
        return None
    folder = LOADERS[dataset.loader].find(dataset.name, data_roots(), splits=images.listing.splits)
    assert folder is not None
    return store.hashes_of(folder, images.listing.splits)


def test_list(images: ImageSet, samples: Tensor, cache: Path | None) -> str:
    """SHA-256 of the test images (n,) in their order, with labels: the same for whoever tests on them."""
    labels = images.labels_of(samples).cpu()
    if images.listing is not None:
        paths = images.listing.test.paths()
        tested = [paths[sample] for sample in samples.tolist()]
        return digests.of_files([(tested, labels.tolist())], cache, keep=False)
    (pixels,) = chunks(images.test, samples)
    assert isinstance(pixels, Tensor)
    return digests.of_arrays([(pixels.cpu().numpy(), labels.numpy())])


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


def labelled(labels: Tensor, config: LabelsConfig, classes: int, names: Sequence[str] | None = None) -> Tensor:
    """Sorted indices of the training images with labels: balanced and nested in the fraction, or the pinned published list."""
    if config.sampler == "list":
        return _listed(names, config.list_digest)
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


def _listed(names: Sequence[str] | None, list_digest: str) -> Tensor:
    """Indices of the images that the list with this SHA-256, found under a data root, names."""
    if names is None:
        raise DataError("a label list names files, and these images are none; set labels.sampler to 'balanced'")
    return torch.tensor(label_lists.resolve(label_list(list_digest, data_roots()), names))


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
