"""A LARS update: our flat buffers against loops over tensors, lightly's and a terse one with Google's formula. One thread.

    python -m benchmarks.lars

Targets: at least 3.5 times faster than lightly on the 8-wide ResNets of a rehearsal, never slower on ResNet-50. Its formula
has another denominator; it is left out where it is not installed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from benchmarks.timing import cpu_seconds, installed, setting
from simclr_spec.stages.common import EncoderConfig as Config
from simclr_spec.train import optim
from simclr_spec.train.model.encoder import Encoder

CASES = (
    ("ResNet-18, 8 wide", 18, 8, 60),
    ("ResNet-50, 8 wide", 50, 8, 60),
    ("ResNet-18", 18, 64, 12),
    ("ResNet-50", 50, 64, 8),
)
RATE, MOMENTUM, DECAY, ETA = 0.1, 0.9, 1e-4, 0.001


def network(depth: int, base_width: int) -> Encoder:
    values: dict[str, Any] = {"depth": depth, "width": 1, "sk": False, "base_width": base_width, "stem": "cifar"}
    values |= {"sk_ratio": 0.0625, "sk_min_width": 32, "bn_decay": 0.9, "bn_epsilon": 1e-5, "bn_variance": "biased"}
    values |= {"stride": "3x3", "sk_dilation": 1, "shortcut_pool": "all"}
    made = Encoder(Config(**values, max_pool="tensorflow", init="tensorflow"))
    for p in made.parameters():
        p.grad = torch.randn_like(p)
    return made


class Loop:
    """One tensor after the other, norms left on the device."""

    def __init__(self, made: Encoder) -> None:
        self.tensors = [(p, torch.zeros_like(p), p.dim() > 1) for p in made.parameters()]

    @torch.no_grad()
    def step(self) -> None:
        for p, velocity, adapted in self.tensors:
            gradient = p.grad
            assert gradient is not None
            trust: Tensor | float = 1.0
            if adapted:
                gradient = gradient.add(p, alpha=DECAY)
                weight_norm, gradient_norm = p.norm(), gradient.norm()
                trust = torch.where((weight_norm > 0) & (gradient_norm > 0), ETA * weight_norm / gradient_norm, 1.0)
            velocity.mul_(MOMENTUM).add_(gradient * (RATE * trust))
            p.sub_(velocity)


def lightly(made: Encoder) -> Callable[[], object]:
    """Its LARS, which adapts what it decays."""
    from lightly.utils.lars import LARS

    kernels = [p for p in made.parameters() if p.dim() > 1]
    others = [p for p in made.parameters() if p.dim() == 1]
    groups = [{"params": kernels}, {"params": others, "weight_decay": 0.0}]
    step: Callable[[], object] = LARS(groups, RATE, MOMENTUM, weight_decay=DECAY, trust_coefficient=ETA).step
    return step


def main() -> None:
    torch.set_num_threads(1)
    print(setting("lightly"))
    print(f"{'network':<20} {'tensors':>8}  form        ms  form/ours")
    config: Any = SimpleNamespace(
        optimizer="lars",
        momentum=MOMENTUM,
        weight_decay=DECAY,
        trust_coefficient=ETA,
        nesterov=False,
        lars_scope="kernels",
        decay_classifier=True,
    )
    for name, depth, base_width, repeats in CASES:
        flat = optim.optimizer(network(depth, base_width), config)
        forms: dict[str, Callable[[], object]] = {
            "ours": partial(flat.step, RATE),
            "loop": Loop(network(depth, base_width)).step,
        }
        if installed("lightly"):
            forms["lightly"] = lightly(network(depth, base_width))
        seconds = cpu_seconds(forms, repeats)
        count = len(flat.state_tensors())
        for form, taken in seconds.items():
            print(f"{name:<20} {count:8}  {form:<8}{1000 * taken:6.2f} {taken / seconds['ours']:10.2f}")


if __name__ == "__main__":
    main()
