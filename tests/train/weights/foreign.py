"""Files as others write them, of networks of any width: official variables in their order, and each layout's names of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simclr_spec.stages.common import EncoderConfig, HeadConfig
from simclr_spec.stages.imports import WeightsConfig
from simclr_spec.stages.network import BLOCKS
from simclr_spec.train.weights.held import Wanted
from tests.data.bundle.writing import write_bundle
from tests.golden_rule import filled
from tests.tensorflow.names import official_tensors
from tests.train.golden_fill import encoder_params

Variables = Sequence[Mapping[str, Any]]
HEAD = HeadConfig(layers=3, width=1, out_dim=16, last_beta=False)
BN = ("gamma", "beta", "moving_mean", "moving_variance")
SEED = 7


def variables(config: EncoderConfig, head: HeadConfig | None = HEAD, classes: int | None = 10) -> list[dict[str, Any]]:
    """As golden JSON files list them: role, shape, kind, index."""
    rows = [*_encoder(config), *(_head(config, head) if head else ())]
    if classes:
        features = config.base_width * config.width * (32 if config.depth >= 50 else 8)
        rows += [("head_supervised.dense.kernel", (features, classes)), ("head_supervised.dense.bias", (classes,))]
    return [
        {"role": role, "shape": list(shape), "kind": role.rpartition(".")[2], "index": i, "trainable": "moving" not in role}
        for i, (role, shape) in enumerate(rows)
    ]


def _encoder(config: EncoderConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    base = config.base_width * config.width
    stem = [(3, 3, base // 2), (3, base // 2, base // 2), (3, base // 2, base)] if config.sk else [(7, 3, base)]
    if config.stem == "cifar":
        stem = [(3, 3, base)]
    for i, (size, inputs, outputs) in enumerate(stem, 1):
        yield from _conv(f"stem.{i}", size, inputs, outputs)
    inputs = base
    for group, blocks in enumerate(BLOCKS[config.depth], 1):
        width = base * 2 ** (group - 1)
        out = width * (4 if config.depth >= 50 else 1)
        for block in range(blocks):
            at = f"block_group{group}.block{block}"
            if block == 0:
                yield from _conv(f"{at}.shortcut.1", 1, inputs, out)
            if config.depth < 50:
                yield from _conv(f"{at}.main.1", 3, inputs, width)
                yield from _conv(f"{at}.main.2", 3, width, width)
            else:
                yield from _conv(f"{at}.main.1", 1, inputs, width)
                yield from _selective(f"{at}.main.2.sk", width) if config.sk else _conv(f"{at}.main.2", 3, width, width)
                yield from _conv(f"{at}.main.3", 1, width, out)
            inputs = out


def _conv(at: str, size: int, inputs: int, outputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{at}.conv.kernel", (size, size, inputs, outputs)
    yield from ((f"{at}.bn.{leaf}", (outputs,)) for leaf in BN)


def _selective(at: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    middle = max(int(width * 0.0625), 32)
    yield f"{at}.conv3x3_two_streams.kernel", (3, 3, width, 2 * width)
    yield from ((f"{at}.bn_two_streams.{leaf}", (2 * width,)) for leaf in BN)
    yield f"{at}.squeeze_conv1x1.kernel", (1, 1, width, middle)
    yield from ((f"{at}.squeeze_bn.{leaf}", (middle,)) for leaf in BN)
    yield f"{at}.expand_conv1x1.kernel", (1, 1, middle, 2 * width)


def _head(config: EncoderConfig, head: HeadConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    inputs = features = config.base_width * config.width * (32 if config.depth >= 50 else 8)
    for layer in range(head.layers):
        last = layer == head.layers - 1
        outputs = head.out_dim if last else features
        yield f"projection_head.layer{layer}.dense.kernel", (inputs, outputs)
        yield from ((f"projection_head.layer{layer}.bn.{leaf}", (outputs,)) for leaf in BN if not (last and leaf == "beta"))
        inputs = outputs


def wish(encoder: EncoderConfig, head: HeadConfig = HEAD, **weights: Any) -> Wanted:
    """`weights`: of a WeightsConfig."""
    held = {
        "file": "a/file",
        "sha256": "",
        "train_step": None,
        "layout": "tensorflow",
        "network": "online",
        "head_layers": head.layers,
        "classes": 10,
        "from_layer": 0,
        "origin": "https://example.org/weights",
        "licence": "MIT",
    }
    return Wanted(encoder=encoder, head=head, weights=WeightsConfig(**(held | weights)))


def narrow(depth: int, *, sk: bool = False, base_width: int = 2, stem: str = "imagenet") -> EncoderConfig:
    return encoder_params(depth, sk=sk, base_width=base_width, stem=stem)


def checkpoint(prefix: Path, rows: Variables, seed: int = SEED, **more: Any) -> Path:
    """Of the official code."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    write_bundle(prefix, official_tensors(rows, seed, ema=True) | more)
    return prefix


def separius(rows: Variables, seed: int = SEED) -> dict[str, dict[str, Tensor]]:
    """What Separius' conversion saves: the names of the modules of its `resnet.py`; the β of the head's last BN is zeros."""
    sk = any(".sk." in row["role"] for row in rows)
    found: dict[str, dict[str, Tensor]] = {"resnet": {}, "head": {}}
    for row in rows:
        body, leaf = row["role"].rsplit(".", 1)
        part, _, name = _separius(body, sk=sk).partition(".")
        found[part][f"{name}.{LEAVES[leaf]}"] = torch.from_numpy(_outputs_first(filled(row, seed)))
        if leaf == "moving_variance":
            found[part][f"{name}.num_batches_tracked"] = torch.tensor(0)
    if layers := [name for name in found["head"] if name.endswith("running_var")]:
        last = layers[-1].removesuffix("running_var")
        found["head"][f"{last}bias"] = torch.zeros_like(found["head"][layers[-1]])
    return found


LEAVES = dict(zip(("kernel", "bias", *BN), ("weight", "bias", "weight", "bias", "running_mean", "running_var"), strict=True))
SELECTIVE = {
    "conv3x3_two_streams": "main_conv.0",
    "bn_two_streams": "main_conv.1.0",
    "squeeze_conv1x1": "mixing_conv.0",
    "squeeze_bn": "mixing_conv.1.0",
    "expand_conv1x1": "mixing_conv.2",
}


def _separius(body: str, *, sk: bool) -> str:
    if body == "head_supervised.dense":
        return "resnet.fc"
    if match := re.fullmatch(r"projection_head\.layer(\d)\.(dense|bn)", body):
        return f"head.layers.{3 * int(match[1]) + (match[2] == 'bn')}"
    if match := re.fullmatch(r"stem\.(\d)\.(conv|bn)", body):
        return f"resnet.net.0.{2 * int(match[1]) - 2}" if match[2] == "conv" else f"resnet.net.0.{2 * int(match[1]) - 1}.0"
    match = re.fullmatch(r"block_group(\d)\.block(\d+)\.(.*)", body)
    assert match
    at = f"resnet.net.{match[1]}.blocks.{match[2]}"
    if match[3].startswith("shortcut"):
        return f"{at}.projection.{'bn.0' if match[3].endswith('bn') else 'shortcut.2' if sk else 'shortcut'}"
    _, layer, *inside = match[3].split(".")
    if inside[0] == "sk":
        return f"{at}.net.2.{SELECTIVE[inside[1]]}"
    place = {"1": 0, "2": 2, "3": 3 if sk else 4}[layer]
    return f"{at}.net.{place}" if inside[0] == "conv" else f"{at}.net.{place + 1}.0"


def _outputs_first(value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(value.ndim, tuple(range(value.ndim)))
    return np.ascontiguousarray(value.transpose(axes))
