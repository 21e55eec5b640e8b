"""The 1,797 handwritten digits that come with scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from string import digits
from typing import TYPE_CHECKING

from simclr_spec.core.errors import DataError
from simclr_spec.core.splitmix import SPLIT, shuffled
from simclr_spec.data.loader import ArrayLoader, Arrays, ArraySplit
from simclr_spec.data.splits import Splits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_TEST_PER_CLASS = 36


class Digits(ArrayLoader):
    """Real 8x8 digits, 0..16 stretched to 0..255, in three equal channels; 36 a class for testing."""

    name = "digits"
    comes_with = "scikit-learn"

    def find(self, dataset: str, roots: Sequence[str], *, splits: Splits = Splits.BOTH) -> None:  # noqa: ARG002
        return None

    def read(self, folder: Path | None, *, splits: Splits = Splits.BOTH) -> Arrays:  # noqa: ARG002
        import numpy as np

        raw = np.loadtxt(_file(), dtype=np.int64, delimiter=",")
        grey = ((raw[:, :-1] * 255 + 8) // 16).astype(np.uint8).reshape(-1, 1, 8, 8)
        pixels, labels = grey.repeat(3, axis=1), raw[:, -1].copy()
        test = _tested(labels)
        train, tested = (ArraySplit(pixels=pixels[rows], labels=labels[rows]) for rows in (~test, test))
        return Arrays(train=train, test=tested, classes=tuple(digits))


def _file() -> Path:
    """scikit-learn's file alone: importing scikit-learn would cost every process more than a second."""
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise DataError("the digits come with scikit-learn, which is not installed: pip install scikit-learn")
    return Path(package.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"


def _tested(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(N,): the first of each class in an order drawn once."""
    import numpy as np

    order = np.array(shuffled(SPLIT, 0, 0, n=len(labels)))
    test = np.zeros(len(labels), dtype=np.bool_)
    for label in range(int(labels.max()) + 1):
        test[order[labels[order] == label][:_TEST_PER_CLASS]] = True
    return test


LOADER = Digits()
