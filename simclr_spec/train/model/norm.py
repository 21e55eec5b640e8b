"""Batch normalisation over the whole batch of a train step, however many processes hold it.

torch's SyncBatchNorm refuses the CPU and moves the running variance by the unbiased estimate; the official code uses the biased
one. Here: one packed all-reduce forward and one backward when a process group is up, torch's native kernels otherwise.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from simclr_spec.stages.common import EncoderConfig
from simclr_spec.train import distributed
from simclr_spec.train.recompute import once, second_pass


class GlobalBatchNorm(nn.Module):
    """(B, C) or (B, C, H, W) -> same shape, normalised over all dimensions but C.

    `center` says whether there is a bias (beta); `zero_gamma` starts the weight (gamma) at zero.
    running_mean and running_var: new = decay * old + (1 - decay) * batch, the variance biased or not as `bn.bn_variance` says.
    Training statistics cover every process.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, bn: EncoderConfig, *, center: bool = True, zero_gamma: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels) if zero_gamma else torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels)) if center else None
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.step = 1 - bn.bn_decay
        self.epsilon = bn.bn_epsilon
        self.biased = bn.bn_variance == "biased"

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return self._native(x, self.running_mean, self.running_var, training=False)
        if distributed.world_size() > 1:
            y: Tensor = _Synchronised.apply(x, self.weight, self.bias, *once(lambda: self._over_processes(x)), self.epsilon)
            return y
        if second_pass():
            return self._native(x, self.running_mean.clone(), self.running_var.clone(), training=True)
        if not self.biased:
            return self._native(x, self.running_mean, self.running_var, training=True)
        # torch adds step * var * n / (n - 1): scaled by that factor before and unscaled after, the sum is what it should be.
        n = x.numel() // x.shape[1]
        variance = self.running_var * (n / (n - 1))
        y = self._native(x, self.running_mean, variance, training=True)
        torch.mul(variance, (n - 1) / n, out=self.running_var)
        return y

    def _native(self, x: Tensor, mean: Tensor, variance: Tensor, training: bool) -> Tensor:
        """By the batch's statistics in training, which move the running `mean` and `variance`; else by these."""
        return torch.batch_norm(x, self.weight, self.bias, mean, variance, training, self.step, self.epsilon, True)

    @torch.no_grad()
    def _over_processes(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(C,), (C,), (): mean, variance and count of all processes; moves the running statistics.

        Joined in float64, where mean and square may be far larger than the variance. Not shifted by the running mean: compiled
        code forms the mean again in its backward pass, and the running one has moved by then.
        """
        n, dims, dtype = x.numel() // x.shape[1], [d for d in range(x.dim()) if d != 1], self.running_mean.dtype
        variance, mean = (t.double() for t in torch.var_mean(x.to(dtype), dims, correction=0))
        packed = torch.cat([mean, variance + mean * mean, mean.new_ones(1)]).mul_(n)
        dist.all_reduce(packed)
        mean, square = (packed[:-1] / packed[-1]).chunk(2)
        variance = (square - mean * mean).clamp_(min=0)
        mean, variance, count = (t.to(dtype) for t in (mean, variance, packed[-1]))
        self.running_mean.lerp_(mean, self.step)
        self.running_var.lerp_(variance if self.biased else variance * (count / (count - 1)), self.step)
        return mean, variance, count


class _Synchronised(torch.autograd.Function):
    """Normalise with the statistics of all processes.

    For x of mean mu and variance s^2 over all processes, x_hat = (x - mu) / s, y = gamma x_hat + beta and means over all
    processes: dx = gamma / s (dy - mean(dy) - x_hat mean(dy x_hat)), d gamma = sum(dy x_hat), d beta = sum(dy). Gradients of
    weight and bias are this process's share: the sum over processes is the whole gradient.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        mean: Tensor,
        variance: Tensor,
        count: Tensor,
        epsilon: float,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, variance, count)
        ctx.epsilon = epsilon
        return torch.batch_norm(x, weight, bias, mean, variance, False, 0.0, epsilon, True)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance, count = ctx.saved_tensors
        inverse = torch.rsqrt(variance + ctx.epsilon)
        # The native backward's sums of dy * x_hat and dy; CUDA wants mean and inverse deviation twice.
        _, along, plain = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, mean, variance, mean, inverse, False, ctx.epsilon, [False, True, True]
        )
        packed = torch.cat([plain, along])
        dist.all_reduce(packed)
        all_plain, all_along = (packed / count).chunk(2)
        gain = weight * inverse
        slope = gain * inverse * all_along
        offset = slope * mean - gain * all_plain
        # dx = gain dy - slope x + offset, summed in the precision of the statistics and rounded once: the terms may be large.
        gain, slope, offset = (t.view([1, -1] + [1] * (x.dim() - 2)) for t in (gain, slope, offset))
        dx = torch.addcmul(offset, gradient, gain).addcmul_(x, slope, value=-1).to(x.dtype)
        along, plain = (t if needed else None for t, needed in zip((along, plain), ctx.needs_input_grad[1:3], strict=True))
        return dx, along, plain, None, None, None, None
