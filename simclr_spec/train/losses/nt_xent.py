"""NT-Xent, Eq. 1 (official tf2/objective.py:59-62, 92-127): the other examples of the batch are the negatives.

For 2N rows z (all of view 1, then all of view 2), u_i = z_i / |z_i|, p(i) the other view of i's image, T the temperature:

    loss = 1/N sum_i -log(E_ip(i) / l_i),  E_ij = exp(u_i . u_j / T),  l_i = sum over k != i of E_ik

It is twice SimCLR's mean over the 2N rows, as in the official code. Its gradient is a closed form, which the forward pass
finds along with the loss, so that backward only scales:

    d loss / d u_i = 1/(N T) (sum over j != i of E_ij (1/l_i + 1/l_j) u_j - 2 u_p(i))

E is symmetric: one process forms its upper triangle only, and a strip serves its rows and its columns.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import torch
from torch import Tensor

from simclr_spec.train import distributed
from simclr_spec.train.distributed import gather
from simclr_spec.train.losses import strips
from simclr_spec.train.losses.strips import by_view, negative_strip, normalised, row_losses, row_strips, through_norm


def nt_xent(z: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Eq. 1, in the official scale: the mean over the N images of the losses of both views.

    z: (2N, D), not normalised; all of view 1, then all of view 2. Returns the loss and the contrast accuracy in [0, 1]: the
    share of view 1 rows whose most similar view 2 row is their own.

    With several processes each passes its own images (equally many); the loss is that of them all and the gradient is such that
    the MEAN over processes of the parameters' gradients is the gradient of the whole loss. Two collectives, none in backward.
    """
    function = _NtXentOverProcesses if distributed.world_size() > 1 else _NtXent
    loss, accuracy = function.apply(z, temperature)
    return loss, accuracy


class _NtXent(torch.autograd.Function):
    """One process: the upper triangle, strip by strip."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        with torch.autocast(z.device.type, enabled=False):
            loss, accuracy, gradient = _triangle(z, temperature, ctx.needs_input_grad[0])
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(accuracy)
        return loss, accuracy

    @staticmethod
    def backward(ctx: Any, scale: Tensor, _: Tensor) -> tuple[Tensor, None]:
        return ctx.saved_tensors[0] * scale, None


def _triangle(z: Tensor, temperature: float, differentiate: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    """Loss, accuracy and, where asked for, the gradient by z (2N, D)."""
    u, factor, free = normalised(z, temperature)
    n = len(u) // 2
    scaled = u * math.sqrt(1 / temperature)
    logit = (scaled[:n] * scaled[n:]).sum(1)
    positive = logit.exp()
    total, best, kept = _row_sums(scaled, keep=differentiate and len(u) ** 2 * u.element_size() // 2 <= strips.KEPT_BYTES)
    loss = row_losses(total, positive.repeat(2), logit.repeat(2)).sum() / n
    accuracy = (positive > best).to(u.dtype).mean()
    if not differentiate:
        return loss.to(z.dtype), accuracy, None
    inverse = 1 / (total + positive.repeat(2))
    share = total * inverse
    du = -(share[:n] + share[n:]).repeat(2)[:, None] * u.roll(n, 0)
    for start in range(0, len(u), strips.STRIP):
        e = kept.popleft() if kept else _upper_strip(scaled, start)
        stop = start + len(e)
        e *= inverse[start:stop, None] + inverse[start:]
        du[start:stop].addmm_(e, u[start:])
        du[stop:].addmm_(e[:, stop - start :].T, u[start:stop])
    du *= 1 / (n * temperature)
    return loss.to(z.dtype), accuracy, through_norm(du, u, factor, free).to(z.dtype)


def _row_sums(scaled: Tensor, *, keep: bool) -> tuple[Tensor, Tensor, deque[Tensor]]:
    """Sums of E's rows without the positives (2N,), largest E of view 1 rows with other images' view 2 (N,), strips if kept."""
    rows, n = len(scaled), len(scaled) // 2
    total, best, kept = scaled.new_zeros(rows), scaled.new_empty(n), deque[Tensor]()
    for start in range(0, rows, strips.STRIP):
        e = _upper_strip(scaled, start)
        stop = start + len(e)
        total[start:stop] += e.sum(1)
        total[stop:] += e[:, stop - start :].sum(0)
        if start < n:
            best[start:stop] = e[: n - start, n - start :].amax(1)
        if keep:
            kept.append(e)
    return total, best, kept


def _upper_strip(scaled: Tensor, start: int) -> Tensor:
    """E of rows [start, start + STRIP) and columns [start, 2N), with 0 for each row itself and for its positive."""
    n = len(scaled) // 2
    e = torch.mm(scaled[start : start + strips.STRIP], scaled.T[:, start:]).exp_().fill_diagonal_(0)
    e.diagonal(n).zero_()
    if n < len(e):
        e.diagonal(-n).zero_()
    return e


class _NtXentOverProcesses(torch.autograd.Function):
    """Own rows against everyone's: one gather of the rows, one of the row sums, and the gradient is complete."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        world, rank = distributed.world_size(), distributed.rank()
        with torch.autocast(z.device.type, enabled=False):
            u, factor, free = normalised(z, temperature)
            n, images = len(u) // 2, len(u) // 2 * world
            everyone = by_view(gather(u), world)
            scaled, partner = u / temperature, u.roll(n, 0)
            logit = (scaled * partner).sum(1)
            positive = logit.exp()
            negatives, best = torch.empty_like(logit), torch.empty_like(logit)
            keep = len(u) * len(everyone) * u.element_size() <= strips.KEPT_BYTES
            kept: list[Tensor | None] = []
            for rows, own, other in row_strips(n, rank * n, images):
                e = negative_strip(scaled[rows], everyone, own, other)
                negatives[rows] = e.sum(1)
                best[rows] = e[:, images:].amax(1)
                kept.append(e if keep else None)
            inverse = 1 / (negatives + positive)
            own_loss = row_losses(negatives, positive, logit).sum()
            correct = (positive > best)[:n].sum()
            packed = gather(torch.cat([inverse, torch.stack([own_loss, correct.to(u.dtype)])])).view(world, -1)
            loss, accuracy = packed[:, -2:].sum(0) / images
            inverses = by_view(packed[:, :-2].reshape(-1, 1), world).squeeze(1)
            share = negatives * inverse
            du = -(share + share.roll(n))[:, None] * partner
            for number, (rows, own, other) in enumerate(row_strips(n, rank * n, images)):
                strip = kept[number]
                e = negative_strip(scaled[rows], everyone, own, other) if strip is None else strip
                du[rows] += (e * (inverse[rows, None] + inverses)) @ everyone
                kept[number] = None
            du *= world / (images * temperature)
            gradient = through_norm(du, u, factor, free).to(z.dtype)
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(accuracy)
        return loss.to(z.dtype), accuracy

    @staticmethod
    def backward(ctx: Any, scale: Tensor, _: Tensor) -> tuple[Tensor, None]:
        return ctx.saved_tensors[0] * scale, None
