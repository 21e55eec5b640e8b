"""A Step's curves, thinned out for small pictures."""

from __future__ import annotations

from collections.abc import Mapping

from simclr_spec.report.page.drawing import Curve
from simclr_spec.store.curves import curve, measures
from simclr_spec.store.layout import RunFolder

POINTS = 60


def curves_of(folder: RunFolder) -> Mapping[str, Curve]:
    """Measure -> its curve, the loss first."""
    lines = curve(folder)
    names = sorted({name for line in lines for name in measures(line)}, key=lambda name: (name != "loss", name))
    return {name: thinned([(line["train_step"], line[name]) for line in lines if name in line]) for name in names}


def thinned(points: Curve) -> Curve:
    """At most about POINTS of them, the last one included."""
    every = max(1, len(points) // POINTS)
    return [*points[:-1:every], *points[-1:]]
