"""Losses. The contrastive ones are closed forms: value and gradient come from one forward pass, backward only scales.

With E_ij = exp(s_ij / temperature) and row sums l_i, the gradient of NT-Xent with respect to a normalised row is
sum_j E_ij (1/l_i + 1/l_j) u_j minus the positive's part; E is symmetric, so that one process needs its upper triangle only.
E is formed in strips of rows. Positives stay out of it: their share 1 - E_ip/l_i is (l_i - E_ip)/l_i without cancellation.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

STRIP = 256
"""Rows of a strip."""
KEPT_BYTES = 8 * 2**30
"""Strips are kept for the gradient up to this size, else formed twice."""


def nt_xent(z: Tensor, temperature: float, group: dist.ProcessGroup | None = None) -> tuple[Tensor, Tensor]:
    """Eq. 1, in the official scale: the mean over the N images of the losses of both views.

    z: (2N, D), not normalised; all of view 1, then all of view 2. Returns the loss and the contrast accuracy in [0, 1]: the
    share of view 1 rows whose most similar view 2 row is their own.

    With several processes each passes its own images (equally many); the loss is that of them all and the gradient is such that
    the MEAN over processes of the parameters' gradients is the gradient of the whole loss. Two collectives, none in backward.
    """
    if dist.is_initialized() and dist.get_world_size(group) > 1:
        loss, accuracy = _NtXentOverProcesses.apply(z, temperature, group)
    else:
        loss, accuracy = _NtXent.apply(z, temperature)
    return loss, accuracy


def nt_xent_memory(
    queries: Tensor, keys: Tensor, queue: Tensor, temperature: float, group: dist.ProcessGroup | None = None
) -> tuple[Tensor, Tensor]:
    """NT-Xent against keys and a memory of older keys.

    queries, keys: (2N, D), all of view 1, then all of view 2; queue: (K, D), the same in every process. A query's positive is
    the key of the image's other view; the key of its own view is left out, as NT-Xent leaves out an example itself; all other
    keys and the queue are negatives. Keys may be the queries (in-batch examples from the online network): gradients on both.
    Scale, accuracy (over the batch's view 2 keys) and processes as in nt_xent.
    """
    loss, accuracy = _NtXentMemory.apply(queries, keys, queue, temperature, group)
    return loss, accuracy


def distillation(
    student: Tensor,
    teacher: Tensor,
    temperature: float,
    *,
    labels: Tensor | None = None,
    alpha: float = 1.0,
    temperature_squared: bool = False,
) -> Tensor:
    """Eq. 2 (alpha 1), or Eq. 3: (1 - alpha) x cross entropy with the labels + alpha x distillation; means over the batch.

    student, teacher: (B, classes) logits; labels: (B,) int64, -1 = no label (contributes 0 to the first sum).
    """
    with torch.no_grad():
        target = F.softmax(teacher / temperature, dim=1)
    loss = F.cross_entropy(student / temperature, target)
    if temperature_squared:
        loss = loss * temperature**2
    if alpha == 1 or labels is None:
        return loss
    supervised = F.cross_entropy(student, labels, ignore_index=-1, reduction="sum") / len(labels)
    return (1 - alpha) * supervised + alpha * loss


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean over the batch; logits (B, classes), labels (B,) int64."""
    return F.cross_entropy(logits, labels, label_smoothing=smoothing)


def _normalised(z: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """u = z rsqrt(max(|z|^2, 1e-12)) in a type whose exp(1 / temperature) sums safely; the factor; where it is not clamped."""
    if z.dtype != torch.float64:
        z = z.to(torch.float32 if temperature >= 1 / 75 else torch.float64)
    square = (z * z).sum(1, keepdim=True)
    return z * square.clamp(min=1e-12).rsqrt(), square.clamp(min=1e-12).rsqrt(), square >= 1e-12


def _through_norm(du: Tensor, u: Tensor, factor: Tensor, free: Tensor) -> Tensor:
    """dL/du -> dL/dz. A clamped row is only scaled."""
    along = (du * u).sum(1, keepdim=True)
    return factor * (du - u * torch.where(free, along, 0.0))


def _row_losses(negatives: Tensor, positive: Tensor, logit: Tensor) -> Tensor:
    """-log(E_p / (E_p + sum of the negatives' E)), by log1p where the loss is small."""
    small = negatives < positive
    ratio = torch.where(small, negatives / positive, 0.0)
    return torch.where(small, torch.log1p(ratio), torch.log(negatives + positive) - logit)


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
    u, factor, free = _normalised(z, temperature)
    rows, n = len(u), len(u) // 2
    scaled = u * math.sqrt(1 / temperature)
    columns = scaled.T

    def strip(start: int) -> Tensor:
        """E of rows [start, stop) and columns [start, rows), with 0 for each row itself and for its positive."""
        e = torch.mm(scaled[start : start + STRIP], columns[:, start:]).exp_().fill_diagonal_(0)
        e.diagonal(n).zero_()
        if n < len(e):
            e.diagonal(-n).zero_()
        return e

    logit = (scaled[:n] * scaled[n:]).sum(1)
    positive = logit.exp()
    total = u.new_zeros(rows)
    best = u.new_empty(n)
    keep = rows * rows * u.element_size() // 2 <= KEPT_BYTES and differentiate
    kept: list[Tensor] = []
    for start in range(0, rows, STRIP):
        e = strip(start)
        stop = start + len(e)
        total[start:stop] += e.sum(1)
        total[stop:] += e[:, stop - start :].sum(0)
        if start < n:
            own = e[: n - start]
            best[start:stop] = own[:, n - start :].amax(1)
        if keep:
            kept.append(e)
    losses = _row_losses(total, positive.repeat(2), logit.repeat(2))
    loss = losses.sum() / n
    accuracy = (positive > best).to(u.dtype).mean()
    if not differentiate:
        return loss.to(z.dtype), accuracy, None
    inverse = 1 / (total + positive.repeat(2))
    share = total * inverse
    du = -(share[:n] + share[n:]).repeat(2)[:, None] * u.roll(n, 0)
    for number, start in enumerate(range(0, rows, STRIP)):
        if keep:
            e, kept[number] = kept[number], u[:0]
        else:
            e = strip(start)
        stop = start + len(e)
        e *= inverse[start:stop, None] + inverse[start:]
        du[start:stop].addmm_(e, u[start:])
        du[stop:].addmm_(e[:, stop - start :].T, u[start:stop])
    du *= 1 / (n * temperature)
    return loss.to(z.dtype), accuracy, _through_norm(du, u, factor, free).to(z.dtype)


class _NtXentOverProcesses(torch.autograd.Function):
    """Own rows against everyone's: one gather of the rows, one of the row sums, and the gradient is complete."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, temperature: float, group: dist.ProcessGroup | None) -> tuple[Tensor, Tensor]:
        world, rank = dist.get_world_size(group), dist.get_rank(group)
        with torch.autocast(z.device.type, enabled=False):
            u, factor, free = _normalised(z, temperature)
            n, images = len(u) // 2, len(u) // 2 * world
            everyone = _by_view(_gather(u, group), world)
            scaled, partner = u / temperature, u.roll(n, 0)
            logit = (scaled * partner).sum(1)
            positive = logit.exp()
            negatives, best = torch.empty_like(logit), torch.empty_like(logit)
            keep = len(u) * len(everyone) * u.element_size() <= KEPT_BYTES
            kept: list[Tensor | None] = []
            for rows, own, other in _strips(n, rank * n, images):
                e = _negatives(scaled[rows], everyone, own, other)
                negatives[rows] = e.sum(1)
                best[rows] = e[:, images:].amax(1)
                kept.append(e if keep else None)
            inverse = 1 / (negatives + positive)
            own_loss = _row_losses(negatives, positive, logit).sum()
            correct = (positive > best)[:n].sum()
            packed = _gather(torch.cat([inverse, torch.stack([own_loss, correct.to(u.dtype)])]), group).view(world, -1)
            loss, accuracy = packed[:, -2:].sum(0) / images
            inverses = _by_view(packed[:, :-2].reshape(-1, 1), world).squeeze(1)
            share = negatives * inverse
            du = -(share + share.roll(n))[:, None] * partner
            for number, (rows, own, other) in enumerate(_strips(n, rank * n, images)):
                strip = kept[number]
                e = _negatives(scaled[rows], everyone, own, other) if strip is None else strip
                du[rows] += (e * (inverse[rows, None] + inverses)) @ everyone
                kept[number] = None
            du *= world / (images * temperature)
            gradient = _through_norm(du, u, factor, free).to(z.dtype)
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(accuracy)
        return loss.to(z.dtype), accuracy

    @staticmethod
    def backward(ctx: Any, scale: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        return ctx.saved_tensors[0] * scale, None, None


class _NtXentMemory(torch.autograd.Function):
    """A strip of queries sees all its row sums, so that nothing need be kept."""

    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, keys: Tensor, queue: Tensor, temperature: float, group: dist.ProcessGroup | None
    ) -> tuple[Tensor, Tensor]:
        world, rank = (dist.get_world_size(group), dist.get_rank(group)) if dist.is_initialized() else (1, 0)
        with torch.autocast(queries.device.type, enabled=False):
            u, factor, free = _normalised(queries, temperature)
            k, key_factor, key_free = _normalised(keys, temperature)
            n, images = len(u) // 2, len(u) // 2 * world
            columns = torch.cat([_by_view(_gather(k, group), world), _normalised(queue, temperature)[0]])
            scaled, partner = u / temperature, k.roll(n, 0)
            logit = (scaled * partner).sum(1)
            positive = logit.exp()
            du, dk = torch.empty_like(u), torch.zeros_like(columns[: 2 * images])
            measures = u.new_zeros(2)
            for rows, own, other in _strips(n, rank * n, images):
                e = _negatives(scaled[rows], columns, own, other)
                negatives = e.sum(1)
                measures[0] += _row_losses(negatives, positive[rows], logit[rows]).sum()
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
                dist.all_reduce(packed, group=group)
                measures, dk = packed[:2], packed[2:].view(-1, u.shape[1])
            scale = world / (images * temperature)
            gradient = _through_norm(du.mul_(scale), u, factor, free).to(queries.dtype)
            key_gradient: Tensor | None = None
            if ctx.needs_input_grad[1]:
                own_keys = dk.view(2, world, n, -1)[:, rank].reshape(2 * n, -1)
                key_gradient = _through_norm(own_keys * scale, k, key_factor, key_free).to(keys.dtype)
            loss, accuracy = measures / images
        ctx.save_for_backward(gradient, key_gradient)
        ctx.mark_non_differentiable(accuracy)
        return loss.to(queries.dtype), accuracy

    @staticmethod
    def backward(ctx: Any, scale: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        gradient, key_gradient = ctx.saved_tensors
        return gradient * scale, None if key_gradient is None else key_gradient * scale, None, None, None


def _gather(x: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    """The processes' tensors one after the other."""
    if not dist.is_initialized() or dist.get_world_size(group) == 1:
        return x
    out = x.new_empty(dist.get_world_size(group) * x.shape[0], *x.shape[1:])
    dist.all_gather_into_tensor(out, x.contiguous(), group=group)
    return out


def _by_view(x: Tensor, world: int) -> Tensor:
    """Rows by process, view, image -> by view, process, image: all of view 1, then all of view 2."""
    return x.view(world, 2, -1, x.shape[1]).transpose(0, 1).reshape(x.shape)


def _strips(n: int, first: int, images: int) -> list[tuple[slice, int, int]]:
    """Strips of the 2n own rows that stay within a view: rows, and the columns of the first row itself and of its positive."""
    return [
        (
            slice(view * n + start, view * n + min(start + STRIP, n)),
            view * images + first + start,
            (1 - view) * images + first + start,
        )
        for view in (0, 1)
        for start in range(0, n, STRIP)
    ]


def _negatives(scaled: Tensor, columns: Tensor, own: int, other: int) -> Tensor:
    """E of a strip, with 0 for each row itself and for its positive."""
    e = torch.mm(scaled, columns.T).exp_()
    e.diagonal(own).zero_()
    e.diagonal(other).zero_()
    return e
