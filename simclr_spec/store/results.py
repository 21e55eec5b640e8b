"""Run folders -> one row per finished Step.

>>> results("runs").groupby(["stage", "label_fraction"])["top1"].mean()
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from simclr_spec.core.errors import SimclrSpecError, UsageError
from simclr_spec.core.files import read_json
from simclr_spec.store.layout import RunFolder, Store

PROVENANCE = (
    "seconds",
    "train_steps",
    "images_per_second",
    "parameters",
    "finished",
    "data_digest",
    "weights_sha256",
    "origin",
    "licence",
)
"""Keys of result.json beside its metrics and environment."""


def results(store: Store | str | Path = "runs") -> pd.DataFrame:
    """One row per finished Step of the store, or of the folder of that name, as `frame` describes them.

    It looks at no images: what reports show as `stale`, since the images have changed, is among the rows.
    Raises UsageError where there is no such folder; without finished Steps there are no columns either."""
    run_folders = store if isinstance(store, Store) else Store(Path(store))
    if not run_folders.path.is_dir():
        raise UsageError(f"there is no store at {run_folders.path.absolute()}: name the folder in which Steps were run")
    return frame(run_folders.folders())


def frame(folders: Iterable[RunFolder]) -> pd.DataFrame:
    """One row per finished Step, indexed by fingerprint.

    Columns: kind, label, folder · the Step's coordinates (depth, width, ..., stage as the first spec named it) · its metrics
    (top1 and top5 in percent, ...) · provenance: seconds of training, parameters, finished, environment (torch, device, ...),
    data_digest (of the images, where nothing declared it, and of the test split alone for what only tests: rows of a kind that
    differ in it saw other images), weights_sha256 (of the file that was read), test_list (digest of the test images, their
    order and labels: rows that agree in it can be compared image by image).
    """
    rows = [row for folder in folders if (row := _row(folder))]
    return pd.DataFrame(rows).set_index("fingerprint") if rows else pd.DataFrame(index=pd.Index([], name="fingerprint"))


def _row(folder: RunFolder) -> dict[str, Any] | None:
    result = read_json(folder.result, "fingerprint", "metrics", "environment")
    step = read_json(folder.step, "kind", "label", "coordinates")
    if result is None or step is None:
        return None
    if not all(isinstance(number, (int, float)) for number in result["metrics"].values()):
        raise SimclrSpecError(f"{folder.result} is damaged: not all of its metrics are numbers. Delete it, and run its spec")
    return {
        "fingerprint": result["fingerprint"],
        **step["coordinates"],
        "kind": step["kind"],
        "label": step["label"],
        "folder": str(folder.path),
        **result["metrics"],
        **{key: result.get(key) for key in PROVENANCE},
        "test_list": result.get("test_list", {}).get("digest"),
        **result["environment"],
    }
