"""What became of each test image: kept beside the counts of every evaluation, so that two results can be compared in pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from simclr_spec.core.errors import SimclrSpecError
from simclr_spec.core.files import read_json, write_atomic
from simclr_spec.store.layout import RunFolder

TOP = 5
"""Classes that are kept of each image."""
_CLASSES, _LABELS = "top5", "labels"


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Of one test, in the order of the test list; int16, or int32 where there are more classes than that can tell."""

    top5: NDArray[np.integer[Any]]
    """(n, at most 5) the classes, best first; -1 where a k-NN's neighbours are of fewer"""
    labels: NDArray[np.integer[Any]]
    """(n,) the true class"""

    def percent(self, top: int) -> float:
        """Of the images, those whose class is among the first `top`."""
        return 100 * int((self.top5[:, :top] == self.labels[:, None]).sum()) / len(self.labels)


def metrics(tests: Mapping[str, Outcomes]) -> dict[str, float]:
    """`top1` and `top5` in percent; those of a test with a name begin with it: `linear_top1`."""
    return {f"{test}_top{top}".lstrip("_"): found.percent(top) for test, found in tests.items() for top in (1, TOP)}


def write(path: Path, tests: Mapping[str, Outcomes]) -> None:
    """Atomic. Tensors `top5` and `labels` of the Step's own test, whose name is empty; `linear.top5` of one with a name."""
    parts = {test: {_CLASSES: found.top5, _LABELS: found.labels} for test, found in tests.items()}
    write_atomic(path, save({f"{test}.{part}".lstrip("."): a for test, both in parts.items() for part, a in both.items()}))


def read(folder: RunFolder) -> dict[str, Outcomes]:
    """The tests of a done Step by name, '' its own; empty where it has none, or its result is of before they were kept.

    Raises SimclrSpecError where the file is missing or damaged."""
    if (path := folder.outcomes) is None:
        return {}
    try:
        found = load_file(path)
    except FileNotFoundError:
        raise SimclrSpecError(
            f"{path} is missing, though its Step is done: restore the file or delete the run folder"
        ) from None
    except SafetensorError as error:
        raise SimclrSpecError(f"{path} is damaged: {error}. Restore the file or delete the run folder") from None
    tests = [name.removesuffix(_LABELS) for name in found if name.endswith(_LABELS)]
    return {test.rstrip("."): Outcomes(found[test + _CLASSES], found[test + _LABELS]) for test in sorted(tests)}


def paired(one: RunFolder, other: RunFolder) -> bool:
    """Whether both were tested on the same images in the same order; of results of before nothing is claimed."""
    seen = [(read_json(folder.result) or {}).get("test_list") for folder in (one, other)]
    return seen[0] is not None and seen[0] == seen[1]
