"""Which parts of a data set are needed, and how much lies in them."""

from __future__ import annotations

from enum import Flag
from typing import NamedTuple


class Splits(Flag):
    """Of a data set; a test needs no images to train on."""

    NONE = 0
    TRAIN = 1
    TEST = 2
    BOTH = 3

    @classmethod
    def of(cls, classes: int | None) -> Splits:
        """All that a data set has: images without classes are not tested on."""
        return cls.TRAIN if classes is None else cls.BOTH


class Counts(NamedTuple):
    """Of a data set; None where nothing was looked for: images without labels have the first alone, a test split the others."""

    train_images: int | None
    test_images: int | None
    classes: int | None

    @property
    def splits(self) -> Splits:
        """That were counted."""
        train, test = self.train_images is not None, self.test_images is not None
        return Splits(Splits.TRAIN.value * train + Splits.TEST.value * test)
