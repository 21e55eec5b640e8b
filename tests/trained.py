"""Tiny Steps of every kind, really trained, and what their networks gave for the test images when they were evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from simclr_spec.store.layout import RunFolder, Store
from simclr_spec.train.loop.execute import execute
from simclr_spec.train.stage import Stage
from tests.steps import prepare

STEPS: dict[str, tuple[str, str | None, dict[str, Any]]] = {
    "pretrain": ("pretrain", None, {}),
    "momentum": ("pretrain", None, {"memory__enabled": True}),
    "finetune": ("finetune", "pretrain", {"from_layer": 1}),
    "finetune_on_the_input": ("finetune", "pretrain", {"from_layer": 0}),
    "linear_eval": ("linear_eval", "pretrain", {}),
    "linear_eval_on_the_head": ("linear_eval", "pretrain", {"from_layer": 2}),
    "linear_eval_moving": ("linear_eval", "pretrain", {"from_layer": 1, "encoder_bn": "train"}),
    "supervised": ("supervised", None, {}),
    "distill": ("distill", "finetune", {}),
}
"""Name -> kind, parent and what else is as it is nowhere else."""


@dataclass(frozen=True)
class Trained:
    """A store of done Steps."""

    store: Store
    folders: dict[str, RunFolder]
    outputs: dict[str, Tensor]
    """(360, D) of each: logits, or the features that its k-NN went by"""


def train(path: Path) -> Trained:
    store, folders, seen = Store(path), dict[str, RunFolder](), list[Tensor]()
    plain = Stage.outputs

    def watched(stage: Stage[Any], *arguments: Any) -> Tensor:
        seen.append(plain(stage, *arguments))
        return seen[-1]

    outputs = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stage, "outputs", watched)
        for name, (kind, parent, overrides) in STEPS.items():
            needs = {"teacher" if kind == "distill" else "from": folders[parent]} if parent else None
            folders[name] = prepare(store, kind, needs, train_steps=3, **overrides)
            seen.clear()
            execute(folders[name].path)
            outputs[name] = seen[0]
    assert all(torch.isfinite(found).all() for found in outputs.values())
    return Trained(store, folders, outputs)
