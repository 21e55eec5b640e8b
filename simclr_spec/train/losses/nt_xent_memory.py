"""NT-Xent against keys and a queue of older keys, as in MoCo (§3.1; never published, see docs/fidelity.md).

For 2N queries q and keys k, all of view 1, then all of view 2, a queue c of K unit rows, all rows normalised, p(i) the other
view of i's image, T the temperature and x = (k, c):

    loss = 1/N sum_i -log(E_ip(i) / l_i),  E_ij = exp(q_i . x_j / T),  l_i = sum over j != i of E_ij

    d loss / d q_i = 1/(N T) (sum over j != i of E_ij / l_i x_j - k_p(i))
    d loss / d k_j = 1/(N T) (sum over i != j of E_ij / l_i q_i - q_p(j))

A strip of queries sees all its row sums, so that nothing need be kept.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from simclr_spec.train import distributed
from simclr_spec.train.distributed import gather
from simclr_spec.train.losses.strips import by_view, negative_strip, normalised, row_losses, row_strips, through_norm


def nt_xent_memory(queries: Tensor, keys: Tensor, queue: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """NT-Xent against keys and a memory of older keys.

    queries, keys: (2N, D), all of view 1, then all of view 2; queue: (K, D), the same in every process. A query's positive is
    the key of the image's other view; the key of its own view is left out, as NT-Xent leaves out an example itself; all other
    keys and the queue are negatives. Keys may be the queries (in-batch examples from the online network): gradients on both.
    Scale, accuracy (over the batch's view 2 keys) and processes as in nt_xent.
    """
    loss, accuracy = _NtXentMemory.apply(queries, keys, queue, temperature)
    return loss, accuracy


class _NtXentMemory(torch.autograd.Function):
    """Own queries against the keys of all processes and the queue."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, queue: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        world, rank = distributed.world_size(), distributed.rank()
        with torch.autocast(queries.device.type, enabled=False):
            u, factor, free = normalised(queries, temperature)
            k, key_factor, key_free = normalised(keys, temperature)
            n, images = len(u) // 2, len(u) // 2 * world
            columns = torch.cat([by_view(gather(k), world), normalised(queue, temperature)[0]])
            scaled, partner = u / temperature, k.roll(n, 0)
            logit = (scaled * partner).sum(1)
            positive = logit.exp()
            du, dk = torch.empty_like(u), torch.zeros_like(columns[: 2 * images])
            measures = u.new_zeros(2)
            for rows, own, other in row_strips(n, rank * n, images):
                e = negative_strip(scaled[rows], columns, own, other)
                negatives = e.sum(1)
                measures[0] += row_losses(negatives, positive[rows], logit[rows]).sum()
                if rows.start < n:
                    measures[1] += (positive[rows] > e[:, images : 2 * images].amax(1)).sum()
                inverse = 1 / (negatives + positive[rows])
                share = (negatives * inverse)[:, None]
                e *= inverse[:, None]
                du[rows] = (e @ columns).addcmul_(share, partner[rows], value=-1)
                if ctx.needs_input_grad[1]:
                    dk.addmm_(e[:, : 2 * images].T, u[rows])
                    dk[other : other + len(e)].addcmul_(share, u[rows], value=-1)
            if world > 1:
                packed = torch.cat([measures, dk.view(-1)]) if ctx.needs_input_grad[1] else measures
                dist.all_reduce(packed)
                measures, dk = packed[:2], packed[2:].view(-1, u.shape[1])
            scale = world / (images * temperature)
            gradient = through_norm(du.mul_(scale), u, factor, free).to(queries.dtype)
            key_gradient: Tensor | None = None
            if ctx.needs_input_grad[1]:
                own_keys = dk.view(2, world, n, -1)[:, rank].reshape(2 * n, -1)
                key_gradient = through_norm(own_keys * scale, k, key_factor, key_free).to(keys.dtype)
            loss, accuracy = measures / images
        ctx.save_for_backward(gradient, key_gradient)
        ctx.mark_non_differentiable(accuracy)
        return loss.to(queries.dtype), accuracy

    @staticmethod
    def backward(ctx: Any, scale: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        gradient, key_gradient = ctx.saved_tensors
        return gradient * scale, None if key_gradient is None else key_gradient * scale, None, None
