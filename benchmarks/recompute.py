"""Activations computed again in the backward pass: ResNet-50 with and without it. One thread.

    python -m benchmarks.recompute [batch, default 128]

Targets, forward and backward at 64x64 in float32: at most 1.4 times the time, at most 0.7 of the memory, equal gradients.
"""

from __future__ import annotations

import sys
from functools import partial

import torch
from torch import Tensor

from benchmarks.timing import cpu_seconds, peak_mib, setting
from simclr_spec.core.fields import build
from simclr_spec.language.machine import read_machine
from simclr_spec.plan import compile
from simclr_spec.stages import network
from simclr_spec.stages.common import EncoderConfig
from simclr_spec.train import recompute
from simclr_spec.train.model.encoder import Encoder

SIZE, REPEATS = 64, 5
FORMS = {"kept": False, "computed again": True}


def encoder() -> Encoder:
    """The first of Table 1: ResNet-50, 1x."""
    torch.manual_seed(0)
    return Encoder(build(EncoderConfig, compile(["table1"]).steps[0].params["encoder"]))


def once(net: Encoder, images: Tensor, again: bool) -> list[Tensor]:
    """Forward and backward; the gradients."""
    recompute.wanted = again
    return list(torch.autograd.grad(net(images).square().mean(), list(net.parameters())))


def sized(batch: int, again: bool, warm_up: bool) -> None:
    """For peak memory: the warm-up loads code on a small batch."""
    once(encoder(), torch.rand(2 if warm_up else batch, 3, SIZE, SIZE), again)


def main() -> None:
    batch = int(sys.argv[1]) if len(sys.argv) > 1 else 128
    torch.set_num_threads(1)
    net, images = encoder(), torch.rand(batch, 3, SIZE, SIZE)
    gradients = {name: once(net, images, again) for name, again in FORMS.items()}
    same = all(torch.equal(one, two) for one, two in zip(*gradients.values(), strict=True))
    seconds = cpu_seconds({name: partial(once, net, images, again) for name, again in FORMS.items()}, repeats=REPEATS)
    peaks = {name: peak_mib(sized, batch, again) for name, again in FORMS.items()}
    counts, per_output = (
        network.encoder(compile(["table1"]).steps[0].params["encoder"], SIZE),
        read_machine("cpu").fp32.saved_bytes_per_output,
    )
    estimates = {"kept": counts.outputs, "computed again": counts.kept}
    print(setting())
    print(f"ResNet-50, {batch} images of {SIZE}x{SIZE}; gradients {'equal to the bit' if same else 'differ'}")
    print(f"{'activations':<16} {'s':>7} {'x':>5} {'peak MiB':>9} {'x':>5} {'estimate MiB':>13}")
    for name in FORMS:
        time, peak = seconds[name] / seconds["kept"], peaks[name] / peaks["kept"]
        estimate = batch * estimates[name] * per_output / 2**20
        print(f"{name:<16} {seconds[name]:7.2f} {time:5.2f} {peaks[name]:9.0f} {peak:5.2f} {estimate:13.0f}")


if __name__ == "__main__":
    main()
