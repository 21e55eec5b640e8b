"""The stages' own train step against whole runs of the official code, in double precision.

A stage whose trajectory is to move needs a new `revision` in its file of simclr_spec/stages/, else stored results pass for the
new arithmetic.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from simclr_spec.core.fields import build
from simclr_spec.stages.finetune import FinetuneConfig
from simclr_spec.stages.pretrain import PretrainConfig
from simclr_spec.store.layout import Store
from simclr_spec.train.loop.trainer import train_step
from simclr_spec.train.optim import optimizer
from simclr_spec.train.stage import Batch, Stage, named
from simclr_spec.train.stages.finetune import Finetune
from simclr_spec.train.stages.pretrain import Pretrain
from tests.places import GOLDEN
from tests.steps import finished, step
from tests.train.golden_fill import fill, tensor_name, to_torch

OFFICIAL: dict[str, Any] = {
    "encoder__base_width": 64,
    "head__out_dim": 128,
    "dataset__image_size": 32,
    "batch": 8,
    "weight_decay": 1e-4,
    "revision": 1,
}


def load(folder: Path, key: str) -> tuple[dict[str, Any], Any]:
    return json.loads((folder / f"trajectory_{key}.json").read_text()), np.load(folder / f"trajectory_{key}.npz")


def batches(arrays: Any) -> list[Batch]:
    """Channels 0-2 are view 1, 3-5 view 2. The official input is float32; widened here."""
    found = []
    for pixels, labels in zip(arrays["views_uint8"], arrays["labels"], strict=True):
        images = torch.from_numpy(np.float32(pixels) / np.float32(255)).permute(0, 3, 1, 2).double()
        found.append(Batch(torch.split(images, 3, dim=1), torch.from_numpy(labels).long()))
    return found


def run(stage: Stage[Any], arrays: Any) -> tuple[list[float], dict[str, Tensor], dict[str, Tensor]]:
    """Official total losses (weight decay of the classifier included), final tensors and momentum."""
    optimiser, losses = optimizer(stage, stage.config), []
    for batch, rate in zip(batches(arrays), arrays["float64_lr"], strict=True):
        classifier = getattr(stage, "classifier", None)
        decay = 0.0 if classifier is None else float(classifier.weight.detach().square().sum() * stage.config.weight_decay / 2)
        losses.append(float(train_step(stage, optimiser, batch, float(rate), len(batch))[0]) + decay)
    return losses, stage.state_dict(), optimiser.state_tensors()


def compare(facts: dict[str, Any], arrays: Any, found: tuple[list[float], dict[str, Tensor], dict[str, Tensor]]) -> None:
    losses, tensors, momentum = found
    np.testing.assert_allclose(losses, arrays["float64_total_loss"], rtol=0, atol=1e-9)
    compared = 0
    for variable in facts["variables"]:
        name = tensor_name(variable["role"])
        for kind, mine in (("final", tensors), ("final_momentum", momentum)):
            if (key := f"float64_{kind}_var{variable['index']}") in arrays.files:
                golden = to_torch(arrays[key]).reshape(mine[name].shape)
                # Step 0 gradients and values are stored as float32.
                torch.testing.assert_close(mine[name], golden, rtol=1e-6, atol=1e-8)
                compared += 1
    assert compared >= 20
    for norms in facts["per_variable"]:
        name = tensor_name(facts["variables"][norms["index"]]["role"])
        assert float(tensors[name].norm()) == pytest.approx(norms["float64_final_l2"], rel=1e-7, abs=0), name
        if norms["float64_momentum_l2"] is None:
            assert name not in momentum
        else:
            assert float(momentum[name].norm()) == pytest.approx(norms["float64_momentum_l2"], rel=1e-9, abs=0), name
    assert len(facts["per_variable"]) == len(tensors) == len(facts["variables"])


def pretrain_config(facts: dict[str, Any], *, linear_head: bool) -> PretrainConfig:
    values = step("pretrain", **OFFICIAL, temperature=facts["flags"]["temperature"], linear_head=linear_head)
    config: PretrainConfig = build(PretrainConfig, values)
    return config


@pytest.mark.parametrize("key", ["pretrain_with_linear_eval", "pretrain"])
def test_pretraining_follows_the_official_run(key: str, request: pytest.FixtureRequest) -> None:
    linear_head = key == "pretrain_with_linear_eval"
    folder = GOLDEN if linear_head else request.getfixturevalue("shared") / "golden"
    facts, arrays = load(folder, key)
    stage = Pretrain(pretrain_config(facts, linear_head=linear_head), {}).double()
    parts = {"encoder": stage.encoder, "head": stage.head}
    fill(parts | ({"classifier": stage.classifier} if stage.classifier else {}), facts["variables"], facts["seed"])
    compare(facts, arrays, run(stage, arrays))


def test_fine_tuning_follows_the_official_run(tmp_path: Path) -> None:
    """Also above the selector, where only BN statistics move."""
    facts, arrays = load(GOLDEN, "finetune")
    values = step("finetune", **OFFICIAL, from_layer=facts["flags"]["ft_proj_selector"])
    source = Pretrain(build(PretrainConfig, step("pretrain", **OFFICIAL)), {})
    parent = finished(Store(tmp_path), "pretrain", named(encoder=source.encoder, head=source.head), **OFFICIAL)
    stage = Finetune(build(FinetuneConfig, values), {"from": parent}).double()
    fill({"encoder": stage.encoder, "head": stage.head, "classifier": stage.classifier}, facts["variables"], facts["seed"])
    before = {name: tensor.clone() for name, tensor in stage.state_dict().items()}
    losses, tensors, momentum = run(stage, arrays)
    compare(facts, arrays, (losses, tensors, momentum))
    above = [name for name in tensors if name.startswith(("head.layers.1", "head.layers.2"))]
    moved = {name for name in above if not torch.equal(before[name], tensors[name])}
    assert moved == {name for name in above if "running" in name}
    assert not any(name in momentum for name in above)
