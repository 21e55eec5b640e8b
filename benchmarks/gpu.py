"""What is suspected to be slow on a GPU and was never measured on one: the norms of LARS, and resizing image by image.

    python -m benchmarks.gpu [--device cuda] [--batch 256] [--rounds 20]

The norms stand beside those of one torch._foreach_norm, the crops of single images beside a batch of equal ones.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from benchmarks.timing import setting
from simclr_spec.core.fields import build
from simclr_spec.plan import compile
from simclr_spec.stages.pretrain import PretrainConfig
from simclr_spec.train import optim
from simclr_spec.train.distributed import start
from simclr_spec.train.model.encoder import Encoder
from simclr_spec.train.model.heads import ProjectionHead
from simclr_spec.train.views.crop import resized

SIDE = 224


def updates(device: torch.device, config: PretrainConfig) -> dict[str, Callable[[], object]]:
    """Of Table 1's first encoder, ResNet-50, with its head, whose first layers have four million weights each."""
    encoder = Encoder(config.encoder)
    made = nn.Sequential(encoder, ProjectionHead(encoder.features, config.head, config.encoder)).to(device)
    for p in made.parameters():
        p.grad = torch.randn_like(p)
    flat = optim.optimizer(made, config)
    kernels = [p for p in made.parameters() if p.dim() > 1]
    weights, gradients = [p.detach() for p in kernels], [p.grad for p in kernels if p.grad is not None]
    return {
        "a LARS update": lambda: flat.step(0.1),
        "  its norms": lambda: [slab._rates(0.1) for slab in flat._slabs],
        "  _foreach_norm of weights and gradients": lambda: (torch._foreach_norm(weights), torch._foreach_norm(gradients)),
    }


def crops(device: torch.device, batch: int) -> dict[str, Callable[[], object]]:
    """Half the side of images of 256 x 256 pixels."""
    images = torch.randint(0, 256, (batch, 3, 256, 256), dtype=torch.uint8, device=device)
    boxes = torch.tensor([[64, 64, 128, 128]]).expand(batch, 4)
    single = list(images)
    return {
        f"{batch} crops of a batch": lambda: resized(images, boxes, SIDE, "tensorflow"),
        f"{batch} crops, image by image": lambda: resized(single, boxes, SIDE, "tensorflow"),
        f"{batch} crops, antialiased": lambda: resized(images, boxes, SIDE, "antialias"),
    }


def milliseconds(run: Callable[[], object], device: torch.device, rounds: int) -> float:
    """Median of wall-clock times, each until the device is done; after one to warm up."""
    times = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    device = torch.device(args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("there is no GPU here; --device cpu tries the script")
    start()
    pretrain = next(step for step in compile(["table1"]).steps if step.kind == "pretrain")
    config: PretrainConfig = build(PretrainConfig, dict(pretrain.params))
    print(setting(), torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU", sep="\n")
    for name, run in (updates(device, config) | crops(device, args.batch)).items():
        print(f"{name:<44} {milliseconds(run, device, args.rounds):9.2f} ms")


if __name__ == "__main__":
    main()
