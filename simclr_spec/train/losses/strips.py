"""What the contrastive losses share: unit rows, and the matrix E of exponentials in strips of rows.

u_i = z_i / |z_i| and E_ij = exp(u_i . u_j / temperature); a strip is a few rows of E, with 0 for each row itself and for its
positive. With p the positive of row i and n_i the sum of its strip row, the row's loss is -log(E_ip / (E_ip + n_i)): positives
stay out of E because their share 1 - E_ip / (E_ip + n_i) is n_i / (E_ip + n_i) without cancellation.
"""

from __future__ import annotations

import torch
from torch import Tensor

STRIP = 256
"""Rows of a strip."""
KEPT_BYTES = 8 * 2**30
"""Strips are kept for the gradient up to this size, else formed twice."""


def normalised(z: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """u = z rsqrt(max(|z|^2, 1e-12)) in a type whose exp(1 / temperature) sums safely; the factor; where it is not clamped."""
    if z.dtype != torch.float64:
        z = z.to(torch.float32 if temperature >= 1 / 75 else torch.float64)
    square = (z * z).sum(1, keepdim=True)
    return z * square.clamp(min=1e-12).rsqrt(), square.clamp(min=1e-12).rsqrt(), square >= 1e-12


def through_norm(du: Tensor, u: Tensor, factor: Tensor, free: Tensor) -> Tensor:
    """dL/du -> dL/dz = (dL/du - u (u . dL/du)) / |z|, all (rows, D). A clamped row is only scaled."""
    along = (du * u).sum(1, keepdim=True)
    return factor * (du - u * torch.where(free, along, 0.0))


def row_losses(negatives: Tensor, positive: Tensor, logit: Tensor) -> Tensor:
    """-log(E_p / (E_p + sum of the negatives' E)), by log1p where the loss is small."""
    small = negatives < positive
    ratio = torch.where(small, negatives / positive, 0.0)
    return torch.where(small, torch.log1p(ratio), torch.log(negatives + positive) - logit)


def by_view(x: Tensor, world: int) -> Tensor:
    """Rows by process, view, image -> by view, process, image: all of view 1, then all of view 2."""
    return x.view(world, 2, -1, x.shape[1]).transpose(0, 1).reshape(x.shape)


def row_strips(n: int, first: int, images: int) -> list[tuple[slice, int, int]]:
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


def negative_strip(scaled: Tensor, columns: Tensor, own: int, other: int) -> Tensor:
    """E of a strip, with 0 for each row itself and for its positive."""
    e = torch.mm(scaled, columns.T).exp_()
    e.diagonal(own).zero_()
    e.diagonal(other).zero_()
    return e
