"""The golden files' weight-filling rule, mapped on our modules. Variables come in the official creation order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from simclr_spec.stages.common import EncoderConfig
from tests.golden_rule import filled

LEAVES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
SELECTIVE = {
    "conv3x3_two_streams": "streams.conv",
    "bn_two_streams": "streams.norm",
    "squeeze_conv1x1": "squeeze",
    "squeeze_bn": "norm",
    "expand_conv1x1": "expand",
}


def tensor_name(role: str) -> str:
    """`block_group1.block0.main.1.bn.gamma` -> `encoder.group1.0.layers.0.norm.weight`."""
    body, leaf = role.rsplit(".", 1)
    if body == "head_supervised.dense":
        return f"classifier.{LEAVES[leaf]}"
    body = re.sub(r"\.sk\.(\w+)", lambda m: f".{SELECTIVE[m[1]]}", body)
    body = re.sub(r"\.bn$", ".norm", body)
    if body.startswith("projection_head."):
        return f"head.{body.removeprefix('projection_head.').replace('layer', 'layers.')}.{LEAVES[leaf]}"
    body = re.sub(r"^stem\.(\d)", lambda m: f"stem.{int(m[1]) - 1}", body)
    body = re.sub(r"^block_group(\d)\.block(\d+)", r"group\1.\2", body).replace("shortcut.1", "shortcut")
    body = re.sub(r"main\.(\d)", lambda m: f"layers.{int(m[1]) - 1}", body)
    return f"encoder.{body}.{LEAVES[leaf]}"


def to_torch(value: np.ndarray[Any, Any]) -> Tensor:
    """HWIO -> OIHW, (in, out) -> (out, in); float64."""
    axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(value.ndim, tuple(range(value.ndim)))
    return torch.tensor(np.ascontiguousarray(value.transpose(axes)), dtype=torch.float64)


def fill(modules: Mapping[str, nn.Module], variables: Sequence[Mapping[str, Any]], seed: int) -> None:
    """Fill `{"encoder": …, "head": …, "classifier": …}`; every tensor of the modules must be named, and no other."""
    tensors = {f"{prefix}.{name}": t for prefix, module in modules.items() for name, t in module.state_dict().items()}
    names = [tensor_name(variable["role"]) for variable in variables]
    assert sorted(names) == sorted(tensors)
    for name, variable in zip(names, variables, strict=True):
        value = filled(variable, seed)
        np.testing.assert_allclose(value.sum(dtype=np.float64), variable["sum"], atol=1e-6 * value.size**0.5)
        np.testing.assert_allclose(value.reshape(-1)[:3], variable["first3"], rtol=1e-6)
        tensors[name].copy_(to_torch(value).reshape(tensors[name].shape))


def encoder_params(
    depth: int, *, width: int = 1, sk: bool = False, base_width: int = 64, stem: str = "imagenet"
) -> EncoderConfig:
    """The official flags' encoder."""
    return EncoderConfig(
        depth=depth,
        width=width,
        sk=sk,
        base_width=base_width,
        stem=stem,  # type: ignore[arg-type]
        sk_ratio=0.0625,
        sk_min_width=32,
        bn_decay=0.9,
        bn_epsilon=1e-5,
        bn_variance="biased",
        stride="3x3",
        sk_dilation=1,
        shortcut_pool="all",
        max_pool="tensorflow",
        init="tensorflow",
    )
