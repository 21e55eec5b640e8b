"""A person's folder with published weights, and the spec that begins with them."""

from __future__ import annotations

from pathlib import Path

import torch
import torchvision

from simclr_spec.stages.common import EncoderConfig
from tests.train.weights.foreign import checkpoint, narrow, separius, variables

WEIGHTS = """
title = "Mine"
origin = "https://example.org/mine"
licence = "MIT"
layout = "{layout}"
networks = [{{ depth = {depth}{more} }}]

[encoder]
base_width = {base}
stem = "{stem}"
max_pool = "{max_pool}"

[head]
out_dim = 16

[sets.all]
made_by = "{made_by}"
file = "{file}"
head_layers = {layers}
classes = 10
"""
FINETUNE = """
[stages.{name}]
kind = "finetune"
from = "start"
labels_per_class = 2
from_layer = {layer}
train_steps = 2
"""
SPEC = """
title = "Mine"
recipe = "simclrv2"
scale = "digits"
encoders = [{{ depth = {depth} }}]
seeds = [0]

[stages.start]
kind = "import"
weights = "weights.toml"

[stages.audit]
kind = "evaluate"
from = "start"

[stages.linear]
kind = "linear_eval"
from = "start"
labels_per_class = 2
from_layer = 0
train_steps = 2

[stages.student]
kind = "distill"
teacher = "start"
train_steps = 2
{more}"""
LAYOUTS = ("tensorflow", "separius", "torchvision")
NAME = "mine/network"


def file_of(layout: str) -> str:
    """Its published name."""
    return NAME + ("" if layout == "tensorflow" else ".pth")


def encoder_of(layout: str) -> EncoderConfig:
    """The smallest of which there are files of this layout."""
    return {
        "tensorflow": narrow(18, stem="cifar"),
        "separius": narrow(50),
        "torchvision": narrow(50, base_width=64, stem="standardised"),
    }[layout]


def project(folder: Path, layout: str = "tensorflow", *, sha256: str = "") -> Path:
    """weights.toml, mine.toml and the file below weights/. Returns the spec."""
    encoder, layers = encoder_of(layout), 0 if layout == "torchvision" else 3
    weights = WEIGHTS.format(
        layout=layout,
        depth=encoder.depth,
        base=encoder.base_width,
        stem=encoder.stem,
        max_pool="torchvision" if layout == "torchvision" else "tensorflow",
        made_by="supervised" if layout == "torchvision" else "pretrain",
        file=file_of(layout),
        layers=layers,
        more=f', sha256 = "{sha256}"' if sha256 else "",
    )
    tuned = [FINETUNE.format(name=f"tuned{layer}", layer=layer) for layer in ((0, 1) if layers else (0,))]
    (folder / "weights.toml").write_text(weights)
    (folder / "mine.toml").write_text(SPEC.format(depth=encoder.depth, more="".join(tuned)))
    write(folder / "weights" / file_of(layout), layout)
    return folder / "mine.toml"


def write(path: Path, layout: str, seed: int = 7) -> None:
    """The same names and sizes, whatever the seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if layout == "tensorflow":
        checkpoint(path, variables(encoder_of(layout)), seed)
    elif layout == "separius":
        torch.save(separius(variables(encoder_of(layout)), seed), path)
    else:
        torch.manual_seed(seed)
        torch.save(torchvision.models.resnet50(weights=None, num_classes=10).state_dict(), path)
