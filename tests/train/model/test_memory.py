"""Momentum encoder and queue against a plain account of them, in double precision."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from simclr_spec.core.fields import build
from simclr_spec.stages.pretrain import PretrainConfig
from simclr_spec.train.loop.trainer import train_step
from simclr_spec.train.optim import optimizer
from simclr_spec.train.stages.pretrain import Pretrain
from simclr_spec.train.stages.stage import Batch
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


def slow_loss(z: Tensor, keys: Tensor, queue: Tensor, temperature: float) -> float:
    """One anchor at a time: all keys but that of its own view, and the queue."""
    z, keys, queue = (F.normalize(x, dim=1) for x in (z, keys, queue))
    n, total = len(z) // 2, 0.0
    for i in range(2 * n):
        positive = (i + n) % (2 * n)
        others = [k for j, k in enumerate(keys) if j not in (i, positive)] + list(queue)
        logits = torch.stack([z[i] @ keys[positive]] + [z[i] @ k for k in others]) / temperature
        total -= float(F.log_softmax(logits, 0)[0])
    return total / n


@pytest.mark.parametrize("enqueue", ["both", "first"])
@pytest.mark.parametrize("bn_statistics", ["forward", "average"])
@pytest.mark.parametrize("in_batch", ["momentum", "online"])
def test_memory_follows_its_plain_account(enqueue: str, bn_statistics: str, in_batch: str) -> None:
    n, keys, decay = 6, 20, 0.9
    options = {"enqueue": enqueue, "bn_statistics": bn_statistics, "in_batch": in_batch}
    stage = pretrain(memory__keys=keys, memory__decay=decay, **{f"memory__{name}": value for name, value in options.items()})
    memory = stage.memory
    assert memory is not None
    assert all(torch.equal(t, tensors(stage, False)[name]) for name, t in tensors(stage, True).items())
    optimiser = optimizer(stage, stage.config)
    queue = memory.queue.clone()
    torch.testing.assert_close(queue.norm(dim=1), torch.ones(keys, dtype=torch.float64))
    for t in range(4):
        shown = batch(n, seed=t)
        x = torch.cat(shown.views)
        mine = tensors(stage, True)
        # A forward pass of copies, so that nothing of the stage moves.
        copy = deepcopy(stage).train()
        assert copy.memory is not None
        with torch.no_grad():
            z = copy.head(copy.encoder(x))[-1]
            k = copy.memory.head(copy.memory.encoder(x))[-1]
        measured = train_step(stage, optimiser, shown, rate=0.3)
        expected = slow_loss(z, z if in_batch == "online" else k, queue, stage.config.temperature)
        assert float(measured[0]) == pytest.approx(expected, rel=1e-9)

        online, moved, forwarded = tensors(stage, False), tensors(stage, True), tensors(copy, True)
        for name, tensor in moved.items():
            average = decay * mine[name] + (1 - decay) * online[name]
            by_forward = "running" in name and bn_statistics == "forward"
            torch.testing.assert_close(tensor, forwarded[name] if by_forward else average, rtol=1e-9, atol=1e-12)
        new = list(F.normalize(k if enqueue == "both" else k[:n], dim=1))
        queue = torch.stack((list(queue) + new)[-keys:])
        torch.testing.assert_close(memory.queue, queue, rtol=1e-9, atol=1e-12)


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
    train_step(stage, optimizer(stage, stage.config), batch(4, 0), rate=0.5)
    handed, online = stage.exported_weights(), tensors(stage, False)
    assert {name for name in handed if torch.equal(handed[name], tensors(stage, True)[name])} == handed.keys()
    assert not torch.equal(handed["head.layers.0.dense.weight"], online["head.layers.0.dense.weight"])
