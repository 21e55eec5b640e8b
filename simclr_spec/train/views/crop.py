"""Random crops, bicubic resizing and flips: boxes are drawn for the whole batch, pixels follow from a few numbers each.

A box is (y, x, height, width) in pixels. The variants named `tensorflow` are the official code's, as measured on its outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from simclr_spec.core.splitmix import CROP
from simclr_spec.stages.common import AugmentConfig
from simclr_spec.train.random import uniform
from simclr_spec.train.tensors import to_device

_ATTEMPTS = 100  # of tensorflow's variant; then the whole image
_DENSE = 64  # up to this width a dense matrix for each image is the fastest on a CPU; beyond, four taps a pixel
_TORCHVISION_ATTEMPTS = 10  # then the largest centred crop within the aspect bounds


def random_boxes(height: Tensor, width: Tensor, config: AugmentConfig, *key: int, index: Tensor) -> Tensor:
    """Image heights and widths (B,) -> boxes (B, 4) int64, on the CPU."""
    sizes = _tensorflow_sizes if config.crop == "tensorflow" else _torchvision_sizes
    h, w, found = sizes(height, width, config, key, index)
    # tensorflow draws from [0, free) and so never touches the last row or column; torchvision draws from [0, free]
    last = 0 if config.crop == "tensorflow" else 1
    place = uniform(*key, CROP, 0, index=index, draws=2)
    y = (place[:, 0] * (height - h + last)).long()
    x = (place[:, 1] * (width - w + last)).long()
    if config.crop == "torchvision":
        y, x = torch.where(found, y, (height - h) // 2), torch.where(found, x, (width - w) // 2)
    return torch.stack((y, x, h, w), 1)


def _tensorflow_sizes(
    height: Tensor, width: Tensor, config: AugmentConfig, key: tuple[int, ...], index: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Aspect uniform, height an integer uniform between its bounds; the first attempt that fits."""
    h, w, found = height.clone(), width.clone(), torch.zeros_like(height, dtype=torch.bool)
    step = 4
    for first in range(0, _ATTEMPTS, step):
        u = uniform(*key, CROP, 1, index=index, draws=2 * step, first=2 * first)
        tried_h, tried_w, fits = _tensorflow_attempts(height[:, None], width[:, None], config, u[:, :step], u[:, step:])
        chosen = fits.long().argmax(1, keepdim=True)  # the first attempt that fits
        new = fits.any(1) & ~found
        h = torch.where(new, tried_h.gather(1, chosen)[:, 0], h)
        w = torch.where(new, tried_w.gather(1, chosen)[:, 0], w)
        found |= new
        if bool(found.all()):
            break
    return h, w, found


def _tensorflow_attempts(
    height: Tensor, width: Tensor, config: AugmentConfig, u_aspect: Tensor, u_height: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """(B, attempts) heights, widths and whether they are accepted."""
    area = (height * width).float()
    least, most = config.crop_area_min * area, config.crop_area_max * area
    aspect = config.crop_aspect_min + u_aspect * (config.crop_aspect_max - config.crop_aspect_min)
    h_most = (most / aspect).sqrt().round()
    h_most = torch.where((h_most * aspect).round() > width, ((width + 0.5) / aspect).floor(), h_most).minimum(height)
    h_least = (least / aspect).sqrt().round().minimum(h_most)
    h = (h_least + (u_height * (h_most - h_least + 1)).floor()).minimum(h_most)
    got = h * (h * aspect).round()
    h = h + (got < least).float()
    got = h * (h * aspect).round()
    h = h - (got > most).float()
    w = (h * aspect).round()
    got = h * w
    fits = (
        (got >= least)
        & (got <= most)
        & (got >= config.crop_min_covered * area)
        & (w <= width)
        & (h <= height)
        & (w > 0)
        & (h > 0)
    )
    return h.long(), w.long(), fits


def _torchvision_sizes(
    height: Tensor, width: Tensor, config: AugmentConfig, key: tuple[int, ...], index: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Area uniform, aspect log-uniform; the first of ten attempts that fits, else the largest centred crop."""
    u = uniform(*key, CROP, 1, index=index, draws=2 * _TORCHVISION_ATTEMPTS)
    share, u_aspect = u.chunk(2, 1)
    target = (height * width)[:, None] * (config.crop_area_min + share * (config.crop_area_max - config.crop_area_min))
    low, high = torch.tensor([config.crop_aspect_min, config.crop_aspect_max]).log()
    aspect = (low + u_aspect * (high - low)).exp()
    w, h = (target * aspect).sqrt().round().long(), (target / aspect).sqrt().round().long()
    fits = (w > 0) & (w <= width[:, None]) & (h > 0) & (h <= height[:, None])
    found, chosen = fits.any(1), fits.long().argmax(1, keepdim=True)
    ratio = width / height
    whole_h = torch.where(ratio < config.crop_aspect_min, (width / config.crop_aspect_min).round().long(), height)
    whole_w = torch.where(ratio > config.crop_aspect_max, (height * config.crop_aspect_max).round().long(), width)
    h = torch.where(found, h.gather(1, chosen)[:, 0], whole_h)
    w = torch.where(found, w.gather(1, chosen)[:, 0], whole_w)
    return h, w, found


def centre_boxes(height: Tensor, width: Tensor, share: float) -> Tensor:
    """Evaluation crops of the official code: a square of `share` of the shorter side."""
    side = (torch.minimum(height, width).double() * share).round().long()
    return torch.stack(((height - side + 1) // 2, (width - side + 1) // 2, side, side), 1)


def _keys_cubic(distance: Tensor) -> Tensor:
    """Keys's kernel with a = -0.5 at distances in [0, 2]; 0 beyond."""
    near = (1.5 * distance - 2.5) * distance * distance + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return torch.where(distance < 1, near, torch.where(distance < 2, far, torch.zeros_like(far)))


def taps(length: Tensor, out: int, flip: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Bicubic without antialias: crop lengths (B,) -> source index and weight of the four taps of every output, (B, out, 4).

    Half-pixel centres, offset rounded to 1/1024, taps outside the crop dropped and the rest renormalised.
    """
    target = torch.arange(out, dtype=torch.float32).expand(len(length), out)
    if flip is not None:
        target = torch.where(flip[:, None], out - 1 - target, target)
    source = (target + 0.5) * (length.float() / out)[:, None] - 0.5
    base = source.floor()
    offset = ((source - base) * 1024).round_().div_(1024)
    weight = _keys_cubic(torch.stack((offset + 1, offset, 1 - offset, 2 - offset), -1))
    index = base.long()[..., None] + torch.arange(-1, 3)
    inside = (index >= 0) & (index < length[:, None, None])
    weight = weight * inside
    return torch.where(inside, index, 0), weight / weight.sum(-1, keepdim=True)


def _bags(pixels: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """Rows (B, 3, H, W) -> (B, 3, out, W): output row i is the weighted sum of the rows index[:, i] (B, out, 4)."""
    batch, channels, height, width = pixels.shape
    first = torch.arange(batch * channels, device=index.device).view(batch, channels, 1, 1) * height
    rows = (index[:, None] + first).view(-1, 4)
    weights = weight[:, None].expand(-1, channels, -1, -1).reshape(-1, 4)
    out = torch.nn.functional.embedding_bag(rows, pixels.reshape(-1, width), mode="sum", per_sample_weights=weights)
    return out.view(batch, channels, -1, width)


def resized(images: Tensor | Sequence[Tensor], boxes: Tensor, size: int, variant: str, flip: Tensor | None = None) -> Tensor:
    """uint8 (B, 3, H, W), or B images (3, h, w) of any size -> the boxes as float32 (B, 3, size, size), not clipped."""
    flip = torch.zeros(len(boxes), dtype=torch.bool) if flip is None else flip
    if variant == "antialias":
        return torch.cat([_antialiased(i, b, size, f) for i, b, f in zip(images, boxes.tolist(), flip.tolist(), strict=True)])
    if not isinstance(images, Tensor):
        return torch.cat(
            [resized(i[None], b[None], size, variant, f[None]) for i, b, f in zip(images, boxes, flip, strict=True)]
        )
    device, width = images.device, images.shape[3]
    y, x, height, length = boxes.unbind(1)
    index, weight = taps(height, size)
    index += y[:, None, None]
    if len(boxes) == 1 and images.shape[2] > 4 * size:  # a photo: only rows that are read become four times as big
        used, index = index.unique(return_inverse=True)  # type: ignore[no-untyped-call]
        images = images[:, :, to_device(used, device)]
    rows = _bags(images.float(), to_device(index, device), to_device(weight / 255, device))
    index, weight = taps(length, size, flip)
    index += x[:, None, None]
    if width > _DENSE:
        return _bags(rows.mT, to_device(index, device), to_device(weight, device)).mT.contiguous()
    columns = to_device(torch.zeros(len(boxes), size, width).scatter_add_(2, index, weight), device)
    return torch.bmm(rows.flatten(1, 2), columns.mT).view(len(boxes), 3, size, size)


def _antialiased(image: Tensor, box: list[int], size: int, flip: bool) -> Tensor:
    """torch's antialiased bicubic of one image (3, H, W) -> (1, 3, size, size)."""
    y, x, height, width = box
    pixels = image[None, :, y : y + height, x : x + width].float().div_(255)
    out = torch.nn.functional.interpolate(pixels, (size, size), mode="bicubic", antialias=True)
    return out.flip(3) if flip else out
