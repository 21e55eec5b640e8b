"""Which images a folder holds: train/CLASS/FILE and val/CLASS/FILE, by names alone, so nothing here loads torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simclr_spec.errors import DataError


@dataclass(frozen=True)
class Split:
    """Images in the order of their classes, then of their names."""

    folder: Path
    files: tuple[str, ...]
    """CLASS/FILE"""
    labels: tuple[int, ...]

    def paths(self) -> list[Path]:
        return [self.folder / file for file in self.files]


@dataclass(frozen=True)
class Listing:
    """Both splits of an image folder; a label is a place in `classes`."""

    classes: tuple[str, ...]
    train: Split
    test: Split


def read(folder: Path) -> Listing:
    """Hidden files and folders are nobody's images. Raises DataError."""
    classes = tuple(name for name in _names(folder / "train") if (folder / "train" / name).is_dir())
    return Listing(classes, _split(folder / "train", classes), _split(folder / "val", classes))


def _split(folder: Path, classes: Sequence[str]) -> Split:
    files, labels = [], []
    for label, name in enumerate(classes):
        if not (folder / name).is_dir():
            raise DataError(f"{folder} has no folder '{name}', a class of the training split")
        found = _names(folder / name)
        files += [f"{name}/{file}" for file in found]
        labels += [label] * len(found)
    return Split(folder, tuple(files), tuple(labels))


def _names(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))
