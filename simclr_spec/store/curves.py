"""Training curves, as the attempts at a Step left them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from simclr_spec.store.layout import Attempt, RunFolder

NO_MEASURE = ("train_step", "train_steps", "epoch", "images_per_second", "time")
"""Keys of a line beside what was measured there."""


def curve(folder: RunFolder) -> list[dict[str, float]]:
    """Lines of all attempts as one, in order of `train_step`; begun or done, empty where nothing was trained.

    An attempt that went on from a checkpoint takes the place of what the one before did after it. Values that are no finite
    number are left out: a measure stands in the lines where it was taken."""
    lines: list[dict[str, float]] = []
    for attempt in _attempts(folder):
        own = list(_lines(attempt))
        if own:
            lines = [line for line in lines if line["train_step"] <= own[0]["train_step"]]
            lines += own
    return lines


def measures(line: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in line.items() if name not in NO_MEASURE}


def _attempts(folder: RunFolder) -> list[Attempt]:
    """Up to the one that made the result: what came later was in vain."""
    made = folder.attempts()
    last = Attempt(folder.weights.parent).number if folder.done else math.inf
    return [attempt for attempt in made if attempt.number <= last]


def _lines(attempt: Attempt) -> Iterator[dict[str, float]]:
    """Without those that a crash tore."""
    try:
        text = attempt.metrics.read_bytes()
    except FileNotFoundError:
        return
    for line in text.split(b"\n"):
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if isinstance(values, dict) and "train_step" in values:
            yield {name: value for name, value in values.items() if _is_finite(value)}


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
