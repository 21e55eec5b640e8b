"""Momentum encoder and queue; test_slow_training.py has the plain account of them."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from simclr_spec.core.fields import build
from simclr_spec.stages.pretrain import PretrainConfig
from simclr_spec.train.loop.trainer import train_step
from simclr_spec.train.optim import optimizer
from simclr_spec.train.stage import Batch
from simclr_spec.train.stages.pretrain import Pretrain
from tests.steps import step


def pretrain(**overrides: Any) -> Pretrain:
    config: PretrainConfig = build(PretrainConfig, step("pretrain", memory__enabled=True, **overrides))
    torch.manual_seed(3)
    return Pretrain(config, {}).double()


def batch(n: int, seed: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    views = tuple(torch.rand(n, 3, 8, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    return Batch(views, torch.zeros(n, dtype=torch.int64))


def tensors(stage: Pretrain, momentum: bool) -> dict[str, Tensor]:
    source = stage.memory if momentum else stage
    assert source is not None
    return {f"{part}.{n}": t.clone() for part in ("encoder", "head") for n, t in getattr(source, part).state_dict().items()}


def test_a_batch_larger_than_the_queue_fills_it_with_its_last_keys() -> None:
    stage = pretrain(memory__keys=5)
    assert stage.memory is not None
    x = torch.cat(batch(4, 0).views)
    keys = stage.memory.keys(x)
    stage.memory.after_step(stage.encoder, stage.head)
    torch.testing.assert_close(stage.memory.queue, F.normalize(keys, dim=1)[-5:])


def test_micro_batches_enter_the_queue_once_each() -> None:
    stage = pretrain(memory__keys=16)
    assert stage.memory is not None
    before = stage.memory.queue.clone()
    train_step(stage, optimizer(stage, stage.config), batch(6, 0), rate=0.1, micro_batch=2)
    assert torch.equal(stage.memory.queue[:4], before[12:])
    assert not torch.isclose(stage.memory.queue[4:, None], before[None]).all(2).any()


def test_momentum_networks_are_handed_on_and_never_optimised() -> None:
    stage = pretrain()
    assert stage.memory is not None
    names = optimizer(stage, stage.config).state_tensors()
    assert not any(name.startswith("memory") for name in names)
    train_step(stage, optimizer(stage, stage.config), batch(4, 0), rate=0.5, micro_batch=4)
    handed, online = stage.exported_weights(), tensors(stage, False)
    assert {name for name in handed if torch.equal(handed[name], tensors(stage, True)[name])} == handed.keys()
    assert not torch.equal(handed["head.layers.0.dense.weight"], online["head.layers.0.dense.weight"])
