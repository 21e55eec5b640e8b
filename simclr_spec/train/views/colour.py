"""Colour operations and blur, in place on batches of RGB images (n, 3, H, W) in float32.

`simclrv2` follows the official code: multiplicative brightness, contrast about each channel's mean, saturation and hue
through HSV. `simclr` adds the brightness, as SimCLR's first version did. `torchvision` follows torchvision: contrast about the
mean of the greyscale image, saturation as a blend with it.
"""

from __future__ import annotations

import torch
from torch import Tensor

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
_GREY = (0.2989, 0.587, 0.114)
_TINY = 1e-12  # in place of a chroma of 0: a grey pixel stays as it is


def grey(x: Tensor) -> Tensor:
    """(n, 3, H, W) -> luminance (n, 1, H, W)."""
    return (x[:, 0:1] * _GREY[0]).add_(x[:, 1:2], alpha=_GREY[1]).add_(x[:, 2:3], alpha=_GREY[2])


def brightness_(x: Tensor, factor: Tensor) -> Tensor:
    """factor (n, 1, 1, 1), as everywhere below."""
    return x.mul_(factor)


def brightness_simclr_(x: Tensor, factor: Tensor) -> Tensor:
    """Added, not multiplied."""
    return x.add_(factor - 1)


def contrast_(x: Tensor, factor: Tensor) -> Tensor:
    """About each channel's own mean."""
    mean = x.mean((2, 3), keepdim=True)
    return x.mul_(factor).add_(mean.mul_(1 - factor))


def contrast_torchvision_(x: Tensor, factor: Tensor) -> Tensor:
    """About the mean of the greyscale image."""
    mean = grey(x).mean((1, 2, 3), keepdim=True)
    return x.mul_(factor).add_(mean.mul_(1 - factor))


def _extremes(x: Tensor) -> tuple[Tensor, Tensor]:
    """(n, 3, H, W) -> largest and least channel, each (n, H, W)."""
    red, green, blue = x.unbind(1)
    return torch.maximum(red, green).maximum(blue), torch.minimum(red, green).minimum(blue)


def saturation_(x: Tensor, factor: Tensor) -> Tensor:
    """HSV's saturation S times factor, at most 1. V - c is proportional to S for each channel c, so no hue is needed."""
    value, least = _extremes(x)
    ratio = value / torch.sub(value, least, out=least).clamp_(min=_TINY)  # 1 / S: the largest admissible factor
    ratio = torch.minimum(ratio, factor[:, 0], out=ratio).clamp_(min=0)[:, None]  # S is 0 where V is not positive
    value = value[:, None]
    return x.sub_(value).mul_(ratio).add_(value)


def saturation_torchvision_(x: Tensor, factor: Tensor) -> Tensor:
    """Blend with the greyscale image."""
    luminance = grey(x)
    return x.mul_(factor).add_(luminance.mul_(1 - factor))


def hue_(x: Tensor, delta: Tensor) -> Tensor:
    """HSV's hue plus delta turns. The largest channel and the least, which give V and S, stay as they are."""
    red, green, blue = x.unbind(1)
    value, least = _extremes(x)
    chroma = value.sub_(least)
    # In sixths of a turn, hue is 1 + (G - R + B - least) / chroma away from red, on green's side where G >= B
    hue = (green - red).add_(blue).sub_(least).div_(chroma.clamp(min=_TINY)).add_(1).copysign_(green - blue)
    hue.add_(delta[:, 0], alpha=6)
    hue.sub_(torch.floor(hue / 6), alpha=6)
    # share of the chroma: red is |h - 3| - 1, green 2 - |h - 2|, blue 2 - |h - 4|, each within [0, 1]
    share = torch.empty_like(hue)
    for channel, centre in enumerate((3, 2, 4)):
        torch.sub(hue, centre, out=share).abs_()
        share = share.sub_(1) if channel == 0 else share.neg_().add_(2)
        torch.addcmul(least, share.clamp_(0, 1), chroma, out=x[:, channel])
    return x


OPERATIONS = {
    "simclrv2": (brightness_, contrast_, saturation_, hue_),
    "simclr": (brightness_simclr_, contrast_, saturation_, hue_),
    "torchvision": (brightness_, contrast_torchvision_, saturation_torchvision_, hue_),
}


def blur_taps(sigma: Tensor, kernel_size: int) -> Tensor:
    """sigma (n,) -> normalised Gaussian taps (n, 2 * (kernel_size // 2) + 1): 22 gives 23 taps, 3 gives 3."""
    x = torch.arange(-(kernel_size // 2), kernel_size // 2 + 1, dtype=torch.float32, device=sigma.device)
    taps = torch.exp(-x.square() / (2 * sigma.square())[:, None])
    return taps / taps.sum(1, keepdim=True)


def blur(x: Tensor, sigma: Tensor, kernel_size: int, border: str = "zero") -> Tensor:
    """Gaussian blur; sigma (1,) for all images or (n,). As a band matrix from the left and from the right.

    Beyond the border lies black ("zero"), or the image mirrored at its outermost pixels ("reflect").
    """
    size, radius = x.shape[-1], kernel_size // 2
    taps = blur_taps(sigma, kernel_size)
    place = torch.arange(size, device=x.device)
    distance = (place[:, None] - place).abs()
    band = torch.where(distance <= radius, taps[:, (distance + radius).clamp_(max=2 * radius)], 0.0)  # (1 or n, size, size)
    right = band  # it is symmetric
    if border == "reflect":
        band = band + _mirrored(taps, size)
        right = band.mT
    if len(sigma) == 1:
        return torch.matmul(band[0], torch.matmul(x, right[0]))
    return torch.matmul(band[:, None], torch.matmul(x, right[:, None]))


def _mirrored(taps: Tensor, size: int) -> Tensor:
    """(n, 2 radius + 1) -> (n, size, size): what each pixel takes from beyond the border, at the mirrored place."""
    radius = taps.shape[1] // 2
    source = torch.arange(size, device=taps.device)[:, None] + torch.arange(-radius, radius + 1, device=taps.device)
    beyond = (source < 0) | (source >= size)
    source = source.abs() % (2 * size - 2)
    source = torch.minimum(source, 2 * size - 2 - source)
    weight = torch.where(beyond, taps[:, None], 0.0)  # (n, size, 2 radius + 1)
    return torch.zeros(len(taps), size, size, device=taps.device).scatter_add_(2, source.expand_as(weight), weight)
