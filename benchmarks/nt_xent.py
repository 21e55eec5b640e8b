"""NT-Xent forward and backward: ours against the textbook form and, where installed, two libraries. One thread, float32.

    python -m benchmarks.nt_xent [largest N, default 4096]

Targets at N = 4096, D = 128: at least 3.5 times faster and 4 times leaner than textbook.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.timing import cpu_seconds, installed, peak_mib, setting
from simclr_spec.train.losses.nt_xent import nt_xent

DIM, TEMPERATURE = 128, 0.1


def ours(z: Tensor) -> Tensor:
    return nt_xent(z, TEMPERATURE)[0] / 2


def textbook(z: Tensor) -> Tensor:
    """Concatenated views, one product, masked diagonal, cross entropy."""
    u = F.normalize(z)
    logits = u @ u.T / TEMPERATURE
    logits = logits.masked_fill(torch.eye(len(z), dtype=torch.bool), -math.inf)
    return F.cross_entropy(logits, torch.arange(len(z)).roll(len(z) // 2))


def lightly(z: Tensor) -> Tensor:
    from lightly.loss import NTXentLoss  # type: ignore[import-not-found,import-untyped,unused-ignore]

    loss: Tensor = NTXentLoss(temperature=TEMPERATURE)(*z.chunk(2))
    return loss


def metric_learning(z: Tensor) -> Tensor:
    """Its SupConLoss, which has the same value here; its NTXentLoss needs memory of the third power of N."""
    from pytorch_metric_learning.losses import SupConLoss  # type: ignore[import-not-found,import-untyped,unused-ignore]

    loss: Tensor = SupConLoss(temperature=TEMPERATURE)(z, torch.arange(len(z) // 2).repeat(2))
    return loss


FORMS: dict[str, Callable[[Tensor], Tensor]] = {"ours": ours, "textbook": textbook}
LIBRARIES: dict[str, Callable[[Tensor], Tensor]] = {"lightly": lightly, "pytorch-metric-learning": metric_learning}


def embeddings(n: int) -> Tensor:
    torch.manual_seed(0)
    z = torch.randn(2 * n, DIM)
    z[n:] = z[:n] + z[n:]
    return z.requires_grad_()


def once(form: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """Loss and gradient; the gradient."""
    (gradient,) = torch.autograd.grad(form(z), z)
    return gradient


def sized(form: Callable[[Tensor], Tensor], n: int, warm_up: bool) -> None:
    """For peak memory: the warm-up loads code on a small batch."""
    once(form, embeddings(16 if warm_up else n))


def main() -> None:
    largest = int(sys.argv[1]) if len(sys.argv) > 1 else 4096
    torch.set_num_threads(1)
    forms = dict(FORMS)
    for name, form in LIBRARIES.items():
        if installed(name):
            forms[name] = form
        else:
            print(f"{name} is not installed: skipped")
    print(setting(*(name for name in LIBRARIES if installed(name))))
    print(f"{'N':>5} {'form':<24} {'ms':>9} {'textbook/form':>14} {'peak MiB':>9} {'textbook/form':>14} {'error':>9}")
    for n in (n for n in (128, 512, 1024, 2048, 4096) if n <= largest):
        z = embeddings(n)
        seconds = cpu_seconds({name: partial(once, form, z) for name, form in forms.items()}, repeats=max(2, 2048 // n))
        peaks = {name: peak_mib(sized, form, n) for name, form in forms.items()} if n >= 1024 else {}
        exact = once(ours if n > 1024 else textbook, z.detach().double().requires_grad_())
        for name, form in forms.items():
            error = ((once(form, z) - exact).norm() / exact.norm()).item()
            memory = f"{peaks[name]:9.0f} {peaks['textbook'] / peaks[name]:14.2f}" if peaks else " " * 24
            faster = seconds["textbook"] / seconds[name]
            print(f"{n:5} {name:<24} {1000 * seconds[name]:9.2f} {faster:14.2f} {memory} {error:9.1e}")


if __name__ == "__main__":
    main()
