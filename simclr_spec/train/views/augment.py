"""Views of images for training and evaluation. Every parameter is a pure function of (seed, epoch, sample, view).

A view is made in two steps: `draw` gives the parameters (on the CPU, a few numbers an image), `cropped` and `coloured` pixels
(where the images are). Order, as in the official code: crop and flip, colour operations in random order with a clip after each,
greyscale, clip, blur.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import permutations
from typing import Any

import torch
from torch import Tensor

from simclr_spec.core.splitmix import AUTOAUGMENT, BLUR, PIXELS
from simclr_spec.stages.common import AugmentConfig, EvaluationConfig
from simclr_spec.train.random import bits, uniform
from simclr_spec.train.tensors import to_device
from simclr_spec.train.views import colour
from simclr_spec.train.views.crop import centre_boxes, random_boxes, resized

_ORDERS = torch.tensor(list(permutations(range(4))))  # (24, 4): the operation at each position
_PLAIN = 4  # in place of an operation: none


@dataclass(frozen=True, kw_only=True)
class ViewParameters:
    """What happens to each of B images; CPU tensors."""

    boxes: Tensor  # (B, 4) int64: y, x, height, width
    flip: Tensor  # (B,) bool
    order: Tensor  # (B, 4) int64: the colour operation at each position, or _PLAIN
    factors: Tensor  # (B, 4) float32: brightness, contrast, saturation factors; hue's turn
    grey: Tensor  # (B,) bool
    blur: Tensor  # (B,) bool
    sigma: Tensor  # (1,) or (B,) float32, pixels
    autoaugment: Tensor | None = None  # (B,) int64 seeds


def sizes(images: Tensor | Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Height and width of every image, each (B,) int64."""
    if isinstance(images, Tensor):
        return torch.full((len(images),), images.shape[2]), torch.full((len(images),), images.shape[3])
    return torch.tensor([i.shape[1] for i in images]), torch.tensor([i.shape[2] for i in images])


def draw(
    height: Tensor,
    width: Tensor,
    config: AugmentConfig,
    *,
    seed: int,
    train_step: int,
    samples: Tensor,
    epochs: Tensor,
    view: int,
) -> ViewParameters:
    """Parameters of one view of the samples (B,) in their epochs (B,)."""
    index = (epochs.cpu() << 32) + samples.cpu()
    key = (seed, view)
    u = uniform(*key, PIXELS, index=index, draws=10)
    strength = 0.8 * config.colour_strength
    low = max(0.0, 1 - strength)
    factors = torch.cat((low + u[:, :3] * (1 + strength - low), (2 * u[:, 3:4] - 1) * 0.2 * config.colour_strength), 1)
    order = _ORDERS[(u[:, 4] * 24).long()].clone()
    order[u[:, 5] >= config.colour_probability] = _PLAIN
    u_sigma = (
        u[:, 9] if config.blur_sigma == "per_sample" else uniform(*key, BLUR, index=torch.tensor([train_step]), draws=1)[:, 0]
    )
    return ViewParameters(
        boxes=random_boxes(height, width, config, *key, index=index),
        flip=u[:, 6] < config.flip,
        order=order,
        factors=factors,
        grey=u[:, 7] < config.greyscale,
        blur=u[:, 8] < config.blur,
        sigma=config.blur_sigma_min + u_sigma * (config.blur_sigma_max - config.blur_sigma_min),
        autoaugment=bits(*key, AUTOAUGMENT, index=index) if config.autoaugment else None,
    )


@torch.no_grad()
def training_views(
    chunks: Iterable[Tensor | Sequence[Tensor]],
    config: AugmentConfig,
    size: int,
    *,
    seed: int,
    train_step: int,
    samples: Tensor,
    epochs: Tensor,
    views: int,
) -> tuple[Tensor, ...]:
    """The images of a batch, chunk after chunk -> its views, float32 (B, 3, size, size) in [0, 1].

    A chunk is uint8 (b, 3, H, W), or b images (3, h, w); none is kept. The bits do not depend on where the batch is cut."""
    begun: list[list[tuple[ViewParameters, Tensor]]] = [[] for _ in range(views)]
    first = 0
    for images in chunks:
        rows = slice(first, first + len(images))
        first = rows.stop
        height, width = sizes(images)
        who: dict[str, Any] = {"seed": seed, "train_step": train_step, "samples": samples[rows], "epochs": epochs[rows]}
        for view, done in enumerate(begun):
            p = draw(height, width, config, **who, view=view)
            done.append((p, cropped(images, p, config, size)))
    return tuple(coloured(*_joined(begun.pop(0), config), config, size) for _ in range(views))


def _joined(crops: Sequence[tuple[ViewParameters, Tensor]], config: AugmentConfig) -> tuple[Tensor, ViewParameters]:
    """Crops of the chunks of a batch -> those of the batch (B, 3, S, S), and its parameters."""
    if len(crops) == 1:
        return crops[0][1], crops[0][0]
    columns = {f.name: [getattr(p, f.name) for p, _ in crops] for f in fields(ViewParameters)}
    joined: dict[str, Any] = {name: None if column[0] is None else torch.cat(column) for name, column in columns.items()}
    if config.blur_sigma != "per_sample":
        joined["sigma"] = crops[0][0].sigma
    return torch.cat([x for _, x in crops]), ViewParameters(**joined)


def cropped(images: Tensor | Sequence[Tensor], p: ViewParameters, config: AugmentConfig, size: int) -> Tensor:
    """Crop, resize, flip, AutoAugment; not clipped unless AutoAugment is on."""
    x = resized(images, p.boxes, size, config.resize, p.flip)
    return x if p.autoaugment is None else _autoaugment(x, p.autoaugment)


def coloured(x: Tensor, p: ViewParameters, config: AugmentConfig, size: int) -> Tensor:
    """What follows the crop, in place where it can."""
    x = jitter(x, p.order, p.factors, config.colour)
    if (chosen := p.grey.nonzero()[:, 0]).numel():
        chosen = to_device(chosen, x.device)
        x.index_copy_(0, chosen, colour.grey(x.index_select(0, chosen)).expand(-1, 3, -1, -1))
    x.clamp_(0, 1)
    kernel_size = int(config.blur_kernel * size + 1e-9)
    if kernel_size > 1 and (chosen := p.blur.nonzero()[:, 0]).numel():
        sigma = to_device(p.sigma if len(p.sigma) == 1 else p.sigma[chosen], x.device)
        chosen = to_device(chosen, x.device)
        x.index_copy_(0, chosen, colour.blur(x.index_select(0, chosen), sigma, kernel_size, config.blur_border).clamp_(0, 1))
    return x


def jitter(x: Tensor, order: Tensor, factors: Tensor, variant: str) -> Tensor:
    """The four colour operations at the positions `order` (B, 4) gives them, with factors (B, 4); clipped after each.

    At each position the images are sorted by operation, so that each operation runs in place on one slice.
    """
    if variant == "torchvision":
        x = x.clamp_(0, 1)
    if bool((order == _PLAIN).all()):
        return x
    place = torch.arange(len(x))  # row of x -> image
    spare = torch.empty_like(x)
    for position in range(4):
        by_operation = order[place, position].argsort(stable=True)
        place = place[by_operation]
        x, spare = torch.index_select(x, 0, to_device(by_operation, x.device), out=spare), x
        counts = torch.bincount(order[place, position], minlength=5).tolist()
        first = 0
        for operation, count in enumerate(counts[:_PLAIN]):
            if count:
                rows = slice(first, first + count)
                factor = to_device(factors[place[rows], operation], x.device)[:, None, None, None]
                colour.OPERATIONS[variant][operation](x[rows], factor).clamp_(0, 1)
            first += count
    return torch.index_select(x, 0, to_device(place.argsort(), x.device), out=spare)


def _autoaugment(x: Tensor, seeds: Tensor) -> Tensor:
    """torchvision's ImageNet policy, image by image: it draws from torch's generator, which is set to each image's seed."""
    from torchvision.transforms import v2

    policy = v2.AutoAugment(v2.AutoAugmentPolicy.IMAGENET)
    pixels = x.clamp(0, 1).mul_(255).round_().to(torch.uint8).cpu()
    with torch.random.fork_rng(devices=[]):
        out = []
        for image, seed in zip(pixels, seeds.tolist(), strict=True):
            torch.manual_seed(seed)
            out.append(policy(image))
    return torch.stack(out).to(x.device, torch.float32).div_(255)


@torch.no_grad()
def evaluation_view(images: Tensor | Sequence[Tensor], config: AugmentConfig | EvaluationConfig, size: int) -> Tensor:
    """uint8 images -> float32 (B, 3, size, size) in [0, 1]: central crop, bicubic; at most 32 pixels: no crop."""
    if not isinstance(images, Tensor):
        return torch.cat([evaluation_view(image[None], config, size) for image in images])
    if size <= 32 and images.shape[2:] == (size, size):
        return images.to(torch.float32).div_(255)
    height, width = sizes(images)
    share = config.test_crop if size > 32 else 1.0
    return resized(images, centre_boxes(height, width, share), size, config.resize).clamp_(0, 1)
