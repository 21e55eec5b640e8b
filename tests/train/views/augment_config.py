"""The official augmentation of pretraining and variations of it, and the digits as tensors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from simclr_spec.data.registry import LOADERS
from simclr_spec.stages.common import AugmentConfig
from simclr_spec.train.data.datasets import as_tensors

_OFFICIAL = AugmentConfig(
    orientation="stored",
    crop="tensorflow",
    crop_area_min=0.08,
    crop_area_max=1.0,
    crop_aspect_min=3 / 4,
    crop_aspect_max=4 / 3,
    crop_min_covered=0.1,
    resize="tensorflow",
    flip=0.5,
    colour="simclrv2",
    colour_probability=0.8,
    colour_strength=1.0,
    greyscale=0.2,
    blur=0.5,
    blur_sigma_min=0.1,
    blur_sigma_max=2.0,
    blur_sigma="per_view",
    blur_kernel=0.1,
    blur_border="zero",
    autoaugment=False,
    test_crop=0.875,
)


def official(**changes: Any) -> AugmentConfig:
    return replace(_OFFICIAL, **changes)


def digit_images() -> tuple[Tensor, Tensor]:
    """Training and test images, uint8 (N, 3, 8, 8)."""
    images = as_tensors(LOADERS["digits"].read(None))
    assert isinstance(images.train, Tensor)
    assert isinstance(images.test, Tensor)
    return images.train, images.test
