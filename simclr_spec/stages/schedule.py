"""The schedule of a training, as pure arithmetic that plan and training share: images, batch, train steps, learning rate."""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi, sqrt

SCALINGS: dict[str, Callable[[int], float]] = {"sqrt": sqrt, "linear": lambda batch: batch / 256, "none": lambda _: 1.0}
"""Name -> factor between the declared learning rate and its peak, for a batch."""

DECAYS: dict[str, Callable[[float], float]] = {"cosine": lambda share: 0.5 * (1 + cos(pi * share))}
"""Name -> share of the peak that is left after a share of the train steps that follow the warm-up."""


def labelled_images(*, images: int, classes: int, fraction: float | None, per_class: int | None) -> int:
    """Training images with labels; exactly one of `fraction` and `per_class` is set."""
    if per_class is not None:
        return per_class * classes
    assert fraction is not None
    return int(fraction * images + 1e-6)


def train_steps(examples: int, epochs: float, batch: int) -> int:
    """As the official code counts them: floor, then one more (tf2/run.py)."""
    return int(examples * epochs) // batch + 1


def warmup_steps(examples: int, epochs: float, warmup: float, batch: int) -> int:
    """`warmup` is a share of `epochs` (tf2/model.py:87-110)."""
    return round(epochs * warmup * examples // batch)


def peak_learning_rate(learning_rate: float, scaling: str, batch: int) -> float:
    """The declared coefficient, scaled by the batch."""
    return learning_rate * SCALINGS[scaling](batch)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Of one training: what its train steps take, and at which learning rate."""

    examples: int
    """images that one epoch passes over"""
    batch: int
    micro_batch: int
    train_steps: int
    warmup_steps: int
    peak_learning_rate: float
    decay: str

    def learning_rate(self, done: int) -> float:
        """Of the train step that follows `done` ones: linear from 0 during the warm-up, then decaying until the last."""
        if done < self.warmup_steps:
            return self.peak_learning_rate * done / self.warmup_steps
        share = (done - self.warmup_steps) / max(1, self.train_steps - self.warmup_steps)
        return self.peak_learning_rate * DECAYS[self.decay](min(1.0, share))
