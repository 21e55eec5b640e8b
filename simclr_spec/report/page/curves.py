"""A Step's curve from its metrics, thinned out for small pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping

from simclr_spec.report.page.drawing import Curve
from simclr_spec.store.layout import RunFolder

POINTS = 60
_NO_MEASURES = ("train_step", "train_steps", "epoch", "time", "images_per_second")


def curves_of(folder: RunFolder) -> Mapping[str, Curve]:
    """Measure -> its curve, the loss first; an attempt that went on from another takes the place of what that did later."""
    lines: dict[int, dict[str, float]] = {}
    for attempt in folder.attempts():
        if attempt.metrics.exists():
            read = [json.loads(line) for line in attempt.metrics.read_text().splitlines() if line.endswith("}")]
            begins = min((line["train_step"] for line in read), default=0)
            lines = {step: line for step, line in lines.items() if step < begins} | {line["train_step"]: line for line in read}
    names = sorted(
        {name for line in lines.values() for name in line} - {*_NO_MEASURES}, key=lambda name: (name != "loss", name)
    )
    found = {name: [(step, line[name]) for step, line in sorted(lines.items()) if line.get(name) is not None] for name in names}
    return {name: thinned(curve) for name, curve in found.items() if curve}


def thinned(curve: Curve) -> Curve:
    """At most about POINTS of them, the last one included."""
    every = max(1, len(curve) // POINTS)
    return [*curve[:-1:every], *curve[-1:]]
