"""LARS step by step against the official optimizer, and SGD against Keras's formula."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from simclr_spec.stages.common import HeadConfig
from simclr_spec.train import optim
from simclr_spec.train.model.encoder import Encoder
from simclr_spec.train.model.heads import Classifier, ProjectionHead
from tests.places import GOLDEN
from tests.train.golden_fill import encoder_params


def config(**changes: Any) -> Any:
    """The fields of TrainingConfig that the optimizer reads."""
    values = {
        "optimizer": "lars",
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "trust_coefficient": 0.001,
        "lars_scope": "kernels",
        "decay_classifier": True,
        "nesterov": False,
    }
    return SimpleNamespace(**values | changes)


def test_lars_is_googles() -> None:
    facts, arrays = json.loads((GOLDEN / "lars.json").read_text()), np.load(GOLDEN / "lars.npz")
    parameters = [nn.Parameter(torch.tensor(arrays[f"var{j}_step0"]).double()) for j in range(len(facts["variables"]))]
    rules = []
    for variable, p in zip(facts["variables"], parameters, strict=True):
        excluded = variable["excluded_from_weight_decay_and_trust_ratio"]
        rules.append(optim.ParameterRule(name=str(variable["index"]), parameter=p, decayed=not excluded, adapted=not excluded))
    ours = optim.Optimizer(
        rules, optim.Update(momentum=0.9, nesterov=False, weight_decay=1e-4, trust_coefficient=facts["eeta"])
    )
    for t, rate in enumerate(arrays["lr"], 1):
        for j, p in enumerate(parameters):
            p.grad = torch.tensor(arrays[f"grad{j}_step{t}"]).double()
        ours.step(float(rate))
        for j, p in enumerate(parameters):
            golden, moment = arrays[f"var{j}_step{t}"], arrays[f"mom{j}_step{t}"]
            np.testing.assert_allclose(p.detach(), golden, rtol=0, atol=2e-6 * max(abs(golden).max(), abs(moment).max(), 1e-3))
            np.testing.assert_allclose(ours.state_tensors()[str(j)], moment, rtol=0, atol=2e-6 * max(abs(moment).max(), 1e-3))


def reference_lars(w: torch.Tensor, g: torch.Tensor, v: torch.Tensor, rate: float, wd: float) -> torch.Tensor:
    g = g + wd * w
    norms = w.norm(), g.norm()
    trust = 0.001 * norms[0] / norms[1] if norms[0] > 0 and norms[1] > 0 else 1.0
    return 0.9 * v + rate * trust * g


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_every_parameter_of_a_network_moves_by_its_rule(memory_format: Any) -> None:
    torch.manual_seed(0)
    bn = encoder_params(50, base_width=8, sk=True, stem="cifar")
    network = (
        nn.ModuleDict({"encoder": Encoder(bn), "classifier": Classifier(256, 10)}).double().to(memory_format=memory_format)
    )
    network["head"] = ProjectionHead(256, HeadConfig(layers=2, width=1, out_dim=16, last_beta=False), bn).double()
    for p in network.parameters():
        nn.init.normal_(p)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    ours = optim.optimizer(network, config(weight_decay=0.01))
    velocity = {name: torch.zeros_like(p) for name, p in before.items()}
    for rate in (0.3, 0.1):
        for p in network.parameters():
            p.grad = torch.randn_like(p)
        gradients = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
        for name, w in before.items():
            if "norm" in name or name.endswith("bias"):
                velocity[name] = 0.9 * velocity[name] + rate * gradients[name]
            elif name == "classifier.weight":
                velocity[name] = 0.9 * velocity[name] + rate * (gradients[name] + 0.01 * w)
            else:
                velocity[name] = reference_lars(w, gradients[name], velocity[name], rate, 0.01)
            before[name] = w - velocity[name]
        ours.step(rate)
    for name, p in network.named_parameters():
        torch.testing.assert_close(p.detach(), before[name], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(ours.state_tensors()[name], velocity[name], rtol=1e-9, atol=1e-12)
        assert p.detach().stride() == before[name].stride()


def test_nesterov_sgd_is_kerass_and_spares_bn_from_decay() -> None:
    torch.manual_seed(0)
    bn = encoder_params(18)
    network = nn.ModuleDict(
        {
            "head": ProjectionHead(6, HeadConfig(layers=2, width=1, out_dim=4, last_beta=False), bn),
            "classifier": Classifier(6, 3),
        }
    ).double()
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    ours = optim.optimizer(network, config(optimizer="sgd", nesterov=True, weight_decay=0.1))
    velocity = {name: torch.zeros_like(p) for name, p in before.items()}
    for rate in (0.5, 0.2, 0.1):
        for name, p in network.named_parameters():
            p.grad = torch.randn_like(p)
            g = p.grad + (0 if "norm" in name else 0.1) * before[name]
            velocity[name] = 0.9 * velocity[name] - rate * g
            before[name] = before[name] + 0.9 * velocity[name] - rate * g
        ours.step(rate)
    for name, p in network.named_parameters():
        torch.testing.assert_close(p.detach(), before[name], rtol=1e-12, atol=1e-14)


def test_frozen_parameters_and_missing_gradients() -> None:
    classifier, frozen = Classifier(6, 3), Classifier(6, 3).requires_grad_(False)
    ours = optim.optimizer(nn.ModuleList([classifier, frozen]), config(weight_decay=0.0))
    before = [p.detach().clone() for p in (*classifier.parameters(), *frozen.parameters())]
    classifier(torch.rand(2, 6)).sum().backward()
    ours.zero_grad()
    ours.step(1.0)
    assert all(torch.equal(a, b) for a, b in zip(before, [*classifier.parameters(), *frozen.parameters()], strict=True))
    assert set(ours.state_tensors()) == {"0.weight", "0.bias"}


def test_without_a_gradient_momentum_goes_on_and_trust_is_1() -> None:
    """Weight decay 0: a zero gradient stays zero, a zero weight has no norm, and neither makes a NaN."""
    starts = {"moving": torch.tensor([3.0, 4.0]), "zero": torch.zeros(2), "resting": torch.tensor([1.0, 2.0])}
    weights = {name: nn.Parameter(w.double()) for name, w in starts.items()}
    rules = [optim.ParameterRule(name=name, parameter=p, decayed=True, adapted=True) for name, p in weights.items()]
    ours = optim.Optimizer(rules, optim.Update(momentum=0.9, nesterov=False, weight_decay=0.0, trust_coefficient=0.001))
    first = torch.tensor([0.6, 0.8], dtype=torch.float64)
    for name, p in weights.items():
        p.grad = torch.zeros_like(first) if name == "resting" else first.clone()
    ours.step(0.5)
    # |w| = 5 and |g| = 1; the zero weight moves by lr g.
    velocity = {"moving": 0.5 * 0.001 * 5 * first, "zero": 0.5 * first, "resting": 0 * first}
    place = {name: w.double() - velocity[name] for name, w in starts.items()}
    for _ in range(3):
        for name, p in weights.items():
            torch.testing.assert_close(p.detach(), place[name], rtol=1e-12, atol=1e-15)
            torch.testing.assert_close(ours.state_tensors()[name], velocity[name], rtol=1e-12, atol=1e-15)
            p.grad = torch.zeros_like(p)
            velocity[name] = 0.9 * velocity[name]
            place[name] = place[name] - velocity[name]
        ours.step(0.5)


@pytest.mark.parametrize("kind", ["lars", "sgd"])
def test_a_zero_classifier_without_weight_decay_learns_at_the_full_rate(kind: str) -> None:
    classifier = Classifier(3, 2, zero=True).double()
    ours = optim.optimizer(classifier, config(optimizer=kind, weight_decay=0.0))
    g = torch.tensor([[1.0, -2.0, 0.5], [0.0, 0.0, 0.0]], dtype=torch.float64)
    classifier.weight.grad, classifier.bias.grad = g.clone(), g[:, 0].clone()
    ours.step(0.1)
    ours.zero_grad()
    ours.step(0.1)  # no gradient any more: momentum 0.9 alone
    torch.testing.assert_close(classifier.weight.detach(), -0.1 * 1.9 * g, rtol=1e-12, atol=0)
    torch.testing.assert_close(classifier.bias.detach(), -0.1 * 1.9 * g[:, 0], rtol=1e-12, atol=0)


def test_state_restores_a_run() -> None:
    def run(steps: range, state: dict[str, torch.Tensor] | None, start: torch.Tensor) -> tuple[optim.Optimizer, nn.Linear]:
        layer = nn.Linear(5, 7, bias=False)
        with torch.no_grad():
            layer.weight.copy_(start)
        ours = optim.optimizer(layer, config())
        for name, tensor in (state or {}).items():
            ours.state_tensors()[name].copy_(tensor)
        for t in steps:
            ours.zero_grad()
            (layer(torch.ones(2, 5)) ** 2).sum().mul(t + 1).backward()
            ours.step(0.1)
        return ours, layer

    start = torch.rand(7, 5)
    _, whole = run(range(4), None, start)
    half, layer = run(range(2), None, start)
    _, resumed = run(range(2, 4), half.state_tensors(), layer.weight.detach().clone())
    assert torch.equal(whole.weight, resumed.weight)
