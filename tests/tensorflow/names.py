"""What the official code (TensorFlow 1) calls the golden files' variables, and all that a checkpoint of its holds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.golden_rule import filled

Variables = Sequence[Mapping[str, Any]]


def official_names(variables: Variables) -> list[str]:
    """Of golden variables in the order of creation, by which the encoder's convolutions and BNs are numbered."""
    numbers = {"conv2d": count(), "batch_normalization": count()}
    names, layer = [], ""
    for variable in variables:
        body, leaf = variable["role"].rsplit(".", 1)
        if head := re.fullmatch(r"projection_head\.layer(\d)\.(dense|bn)", body):
            layer = f"head_contrastive/nl_{head[1]}/{'batch_normalization' if head[2] == 'bn' else 'dense'}"
        elif body == "head_supervised.dense":
            layer = "head_supervised/linear_layer/dense"
        elif leaf in ("kernel", "gamma"):
            kind = "conv2d" if leaf == "kernel" else "batch_normalization"
            layer = f"base_model/{kind}{f'_{k}' if (k := next(numbers[kind])) else ''}"
        names.append(f"{layer}/{leaf}")
    return names


def official_tensors(variables: Variables, seed: int, *, slots: bool = True, ema: bool = False) -> dict[str, NDArray[Any]]:
    """The variables filled by the golden rule, and what is saved beside them, of other values.

    `slots`: the optimiser's momenta; `ema`: the moving averages that a pretrained checkpoint has, too."""
    tensors: dict[str, NDArray[Any]] = {"global_step": np.array(250228)}
    for name, variable in zip(official_names(variables), variables, strict=True):
        tensors[name] = filled(variable, seed)
        if slots and variable["trainable"]:
            tensors[f"{name}/Momentum"] = filled({**variable, "kind": "bias"}, seed + 1)
        if ema and not name.startswith("head_supervised"):
            tensors[f"ema_model/{name}"] = filled(variable, seed + 2)
    return tensors
