"""Distillation and pretraining with a memory, train step by train step, against slow references in double precision.

The references know the networks' forward passes only: losses, LARS, the momentum encoder and the queue are written again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from simclr_spec.core.fields import build
from simclr_spec.stages.distill import DistillConfig
from simclr_spec.stages.pretrain import PretrainConfig
from simclr_spec.stages.supervised import SupervisedConfig
from simclr_spec.store.layout import Store
from simclr_spec.train.loop.trainer import train_step
from simclr_spec.train.model.norm import GlobalBatchNorm
from simclr_spec.train.optim import optimizer
from simclr_spec.train.stage import Batch, named
from simclr_spec.train.stages.distill import Distill
from simclr_spec.train.stages.pretrain import Pretrain
from simclr_spec.train.stages.supervised import Supervised
from tests.steps import disturb, finished, step

RATES = [0.1, 0.3, 0.0, 0.2]
WEIGHT_DECAY = 1e-3

Tensors = dict[str, Tensor]


def views(count: int, images: int, seed: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(images, 3, 8, 8, generator=generator, dtype=torch.float64) for _ in range(count))


def copies(tensors: Mapping[str, Tensor]) -> Tensors:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


class Network:
    """A copy of modules that act one after the other, with LARS by a loop over its tensors."""

    def __init__(self, **modules: nn.Module) -> None:
        self.modules = nn.Sequential(OrderedDict(deepcopy(modules)))
        self.weights = {name: p.requires_grad_() for name, p in copies(dict(self.modules.named_parameters())).items()}
        self.statistics = copies(dict(self.modules.named_buffers()))
        self.velocity = {name: torch.zeros_like(w) for name, w in self.weights.items()}
        self.norms = {name for name, module in self.modules.named_modules() if isinstance(module, GlobalBatchNorm)}

    def __call__(self, x: Tensor) -> Tensor:
        """In training mode: batch statistics, and the moving ones follow."""
        out = functional_call(self.modules.train(), self.weights | self.statistics, (x,))
        found: Tensor = out[-1] if isinstance(out, list) else out
        return found

    def update(self, loss: Tensor, rate: float) -> None:
        gradients = torch.autograd.grad(loss, list(self.weights.values()))
        for (name, w), g in zip(list(self.weights.items()), gradients, strict=True):
            trust = 1.0
            if name.rpartition(".")[0] not in self.norms and not name.endswith("bias"):
                g = g + WEIGHT_DECAY * w.detach()
                if not name.startswith("classifier"):
                    trust = 0.001 * (w.norm() / g.norm()).item()
            self.velocity[name] = 0.9 * self.velocity[name] + rate * trust * g
            self.weights[name] = (w - self.velocity[name]).detach().requires_grad_()


def alike(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], prefix: str = "") -> None:
    assert expected
    for name, tensor in expected.items():
        torch.testing.assert_close(found[prefix + name].detach(), tensor.detach(), rtol=1e-9, atol=1e-12, msg=f"{prefix}{name}")


# ---------------------------------------------------------------- distillation


def soft_targets(student: Tensor, teacher: Tensor, labels: Tensor, c: DistillConfig) -> Tensor:
    """Eq. 3 (Eq. 2 at alpha 1), one image at a time."""
    losses = []
    for s, t, label in zip(student, teacher, labels.tolist(), strict=True):
        probability = (t / c.temperature).exp() / (t / c.temperature).exp().sum()
        soft = -(probability * (s / c.temperature - (s / c.temperature).exp().sum().log())).sum()
        hard = s.exp().sum().log() - s[label] if label >= 0 else torch.zeros(())
        losses.append(c.alpha * soft * (c.temperature**2 if c.temperature_squared else 1) + (1 - c.alpha) * hard)
    return torch.stack(losses).mean()


@pytest.mark.parametrize(("alpha", "temperature"), [(1.0, 1.0), (0.3, 2.0)])
def test_a_student_moves_as_its_slow_reference(alpha: float, temperature: float, tmp_path: Path) -> None:
    torch.manual_seed(7)
    first = Supervised(build(SupervisedConfig, step("supervised")), {})
    disturb(first)
    first.classifier.weight.data.normal_()
    source = finished(Store(tmp_path), "distill", named(encoder=first.encoder, classifier=first.classifier))
    values = step("distill", alpha=alpha, temperature=temperature, weight_decay=WEIGHT_DECAY, encoder__base_width=4)
    stage = Distill(build(DistillConfig, values), {"teacher": source}).double().train()
    disturb(stage.encoder)
    slow, teacher = Network(encoder=stage.encoder, classifier=stage.classifier), first.double().eval()
    optimiser = optimizer(stage, stage.config)
    labels = torch.tensor([1, -1, 3, -1, -1, 9, -1, 0])
    for t, rate in enumerate(RATES):
        (x,) = views(1, 8, t)
        with torch.no_grad():
            target = teacher(x)
        loss = soft_targets(slow(x), target, labels, stage.config)
        slow.update(loss, rate)
        measured = train_step(stage, optimiser, Batch((x,), labels), rate, micro_batch=8)
        assert float(measured[0]) == pytest.approx(loss.item(), rel=1e-9)
        alike(stage.state_dict(), slow.weights | slow.statistics)
        alike(optimiser.state_tensors(), slow.velocity)


# ---------------------------------------------------------------- pretraining with a memory


def unit(z: Tensor) -> Tensor:
    return z / z.square().sum(1, keepdim=True).sqrt()


def contrast(z: Tensor, keys: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """One anchor at a time: its positive among all keys but that of its own view, and the queue."""
    z, keys, queue, n = unit(z), unit(keys), unit(queue), len(z) // 2
    losses = []
    for i in range(2 * n):
        positive = (i + n) % (2 * n)
        others = torch.cat([keys[[j for j in range(2 * n) if j != i]], queue])
        losses.append((others @ z[i] / temperature).exp().sum().log() - keys[positive] @ z[i] / temperature)
    return torch.stack(losses).sum() / n


@pytest.mark.parametrize("bn_statistics", ["forward", "average"])
@pytest.mark.parametrize("enqueue", ["both", "first"])
@pytest.mark.parametrize("in_batch", ["momentum", "online"])
def test_pretraining_with_a_memory_moves_as_its_slow_reference(in_batch: str, enqueue: str, bn_statistics: str) -> None:
    n, size, decay = 5, 24, 0.8
    options: dict[str, Any] = {"in_batch": in_batch, "enqueue": enqueue, "bn_statistics": bn_statistics}
    options |= {"enabled": True, "keys": size, "decay": decay}
    values = step("pretrain", weight_decay=WEIGHT_DECAY, **{f"memory__{name}": value for name, value in options.items()})
    torch.manual_seed(3)
    stage = Pretrain(build(PretrainConfig, values), {}).double().train()
    assert stage.memory is not None
    for one, two in ((stage.memory.encoder, stage.encoder), (stage.memory.head, stage.head)):
        assert all(torch.equal(tensor, two.state_dict()[name]) for name, tensor in one.state_dict().items())
    torch.testing.assert_close(stage.memory.queue.norm(dim=1), torch.ones(size, dtype=torch.float64))
    disturb(stage)
    slow, follower = (
        Network(encoder=stage.encoder, head=stage.head),
        Network(encoder=stage.memory.encoder, head=stage.memory.head),
    )
    queue = stage.memory.queue.clone()
    optimiser = optimizer(stage, stage.config)
    for t, rate in enumerate(RATES):
        shown = views(2, n, t)
        x = torch.cat(shown)
        before = copies(follower.statistics)
        z, keys = slow(x), follower(x).detach()
        loss = contrast(z, z if in_batch == "online" else keys, queue, stage.config.temperature)
        slow.update(loss, rate)
        if bn_statistics == "average":
            follower.statistics = {k: decay * b + (1 - decay) * slow.statistics[k] for k, b in before.items()}
        follower.weights = {k: decay * w + (1 - decay) * slow.weights[k] for k, w in follower.weights.items()}
        queue = torch.cat([queue, unit(keys if enqueue == "both" else keys[:n])])[-size:]

        measured = train_step(stage, optimiser, Batch(shown, torch.zeros(n, dtype=torch.int64)), rate, micro_batch=n)
        assert float(measured[0]) == pytest.approx(loss.item(), rel=1e-9)
        alike(stage.state_dict(), slow.weights | slow.statistics)
        alike(stage.state_dict(), follower.weights | follower.statistics, "memory.")
        alike(stage.state_dict(), {"memory.queue": queue})
        alike(optimiser.state_tensors(), slow.velocity)
