"""A LARS update: our flat buffers against a loop over tensors with Google's formula. One thread, float32.

    python -m benchmarks.lars

Targets: at least 3.5 times faster on the 8-wide ResNets of a rehearsal, never slower on ResNet-50.
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from benchmarks.timing import cpu_seconds, setting
from simclr_spec.params import Encoder as Config
from simclr_spec.train import optim
from simclr_spec.train.encoder import Encoder

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


def main() -> None:
    torch.set_num_threads(1)
    print(setting())
    print(f"{'network':<20} {'tensors':>8} {'ours ms':>9} {'loop ms':>9} {'loop/ours':>10}")
    config: Any = SimpleNamespace(
        optimizer="lars", momentum=MOMENTUM, weight_decay=DECAY, trust_coefficient=ETA, nesterov=False
    )
    for name, depth, base_width, repeats in CASES:
        ours, loop = network(depth, base_width), network(depth, base_width)
        flat, tensors = optim.optimizer(ours, config), Loop(loop)
        seconds = cpu_seconds({"ours": partial(flat.step, RATE), "loop": tensors.step}, repeats)
        ratio = seconds["loop"] / seconds["ours"]
        count = len(tensors.tensors)
        print(f"{name:<20} {count:8} {1000 * seconds['ours']:9.3f} {1000 * seconds['loop']:9.3f} {ratio:10.2f}")


if __name__ == "__main__":
    main()
