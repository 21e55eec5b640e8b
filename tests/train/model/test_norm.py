"""Batch norm in one process: values, gradients and moving statistics against the formula."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from torch import nn

from simclr_spec.stages.common import EncoderConfig
from simclr_spec.train.model.norm import GlobalBatchNorm
from tests.train.golden_fill import encoder_params


def layer(channels: int, variance: str = "biased", **flags: Any) -> GlobalBatchNorm:
    bn = EncoderConfig(**{**vars(encoder_params(18)), "bn_variance": variance, "bn_decay": 0.8})
    made = GlobalBatchNorm(channels, bn, **flags).double()
    for p in made.parameters():
        nn.init.normal_(p)
    return made


def formula(x: torch.Tensor, norm: GlobalBatchNorm, mean: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    shape = [1, -1] + [1] * (x.dim() - 2)
    y = (x - mean.view(shape)) / (variance.view(shape) + 1e-5).sqrt() * norm.weight.view(shape)
    return y if norm.bias is None else y + norm.bias.view(shape)


@pytest.mark.parametrize("variance", ["biased", "unbiased"])
@pytest.mark.parametrize("shape", [(6, 5), (3, 5, 4, 2)])
@pytest.mark.parametrize("flags", [{}, {"center": False}])
def test_formula(variance: Literal["biased", "unbiased"], shape: tuple[int, ...], flags: dict[str, bool]) -> None:
    torch.manual_seed(0)
    norm = layer(5, variance, **flags)
    dims = [d for d in range(len(shape)) if d != 1]
    mean, moving = torch.zeros(5, dtype=torch.float64), torch.ones(5, dtype=torch.float64)
    for _ in range(3):
        x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
        target = torch.randn(shape, dtype=torch.float64)
        biased, batch_mean = torch.var_mean(x, dims, correction=0)
        expected = formula(x, norm, batch_mean, biased)
        (expected_gradient,) = torch.autograd.grad((expected * target).sum(), x)
        ours = norm(x)
        (gradient,) = torch.autograd.grad((ours * target).sum(), x)
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-12)
        mean = 0.8 * mean + 0.2 * batch_mean.detach()
        moving = 0.8 * moving + 0.2 * torch.var(x.detach(), dims, correction=0 if variance == "biased" else 1)
        torch.testing.assert_close(norm.running_mean, mean, rtol=0, atol=1e-14)
        torch.testing.assert_close(norm.running_var, moving, rtol=0, atol=1e-14)
    x = torch.randn(shape, dtype=torch.float64)
    torch.testing.assert_close(norm.eval()(x), formula(x, norm, mean, moving), rtol=0, atol=1e-12)
    torch.testing.assert_close(norm.running_mean, mean, rtol=0, atol=1e-14)


def test_flags_and_names() -> None:
    norm = GlobalBatchNorm(3, encoder_params(18), zero_gamma=True)
    assert list(norm.state_dict()) == ["weight", "bias", "running_mean", "running_var"]
    assert norm.weight.count_nonzero() == 0
    assert list(GlobalBatchNorm(3, encoder_params(18), center=False).state_dict()) == ["weight", "running_mean", "running_var"]
