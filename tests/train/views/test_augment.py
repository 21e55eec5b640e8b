"""Views equal the official code's arrays and a slow reference; their parameters follow the official laws."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from simclr_spec.stages.common import AugmentConfig
from simclr_spec.train.views import augment, colour, crop
from simclr_spec.train.views.augment import evaluation_view, training_views
from tests.places import GOLDEN
from tests.train.views import slow_augment
from tests.train.views.augment_config import digit_images, official

OPERATIONS = {
    "brightness": colour.brightness_,
    "contrast": colour.contrast_,
    "saturation": colour.saturation_,
    "hue": colour.hue_,
}


class Arrays:
    """The golden arrays as tensors (1, 3, H, W)."""

    def __init__(self, folder: Path) -> None:
        self.arrays = np.load(folder / "augment.npz")
        self.facts: dict[str, Any] = json.loads((folder / "augment.json").read_text())
        self.names = list(self.arrays)

    def __call__(self, name: str) -> Tensor:
        return torch.from_numpy(self.arrays[name]).permute(2, 0, 1)[None].contiguous()


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    return Arrays(GOLDEN)


def close(found: Tensor, expected: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


def pictures(batch: int, size: int) -> Tensor:
    """Smooth coloured images with some noise, uint8 (B, 3, size, size)."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(batch, 3, 4, 4, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear")
    return ((smooth + 0.1 * torch.rand(batch, 3, size, size, generator=generator)) * 230).to(torch.uint8)


def training_view(images: Tensor | Sequence[Tensor], config: AugmentConfig, size: int, *, view: int, **who: Any) -> Tensor:
    """One of the views of a whole batch."""
    return training_views([images], config, size, views=view + 1, **who)[view]


def arguments(batch: int, **changes: Any) -> dict[str, Any]:
    """What training_view needs to know of a batch."""
    plain = {
        "seed": 1,
        "train_step": 5,
        "samples": torch.arange(batch),
        "epochs": torch.zeros(batch, dtype=torch.long),
        "view": 0,
    }
    return plain | changes


# ---------------------------------------------------------------- the official arrays


@pytest.mark.parametrize("source", ["img0", "over"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_colour_operations(arrays: Arrays, operation: str, source: str) -> None:
    names = [name for name in arrays.names if name.startswith(operation) and name.endswith(source)]
    assert len(names) >= 4
    for name in names:
        factor = torch.full((1, 1, 1, 1), float(name.split("_")[1]))
        close(OPERATIONS[operation](arrays("color_src_" + source), factor), arrays(name), 2e-6)


@pytest.mark.parametrize("source", ["img0", "over"])
def test_greyscale(arrays: Arrays, source: str) -> None:
    close(colour.grey(arrays("color_src_" + source)).expand(-1, 3, -1, -1), arrays("grayscale_" + source), 1e-6)


@pytest.mark.parametrize("source", ["img0", "over"])
def test_jitter(arrays: Arrays, source: str) -> None:
    """All four orders in one batch: sorting by operation mixes nothing up."""
    facts = arrays.facts["jitter"]
    factors = [[f["brightness_factor"], f["contrast_factor"], f["saturation_factor"], f["hue_delta"]] for f in facts]
    images = arrays("color_src_" + source).repeat(4, 1, 1, 1)
    found = augment.jitter(images, torch.tensor([f["order"] for f in facts]), torch.tensor(factors), "simclrv2")
    close(found, torch.cat([arrays(f"jitter{i}_{source}") for i in range(4)]), 1e-5)


def test_blur(arrays: Arrays) -> None:
    names = [name for name in arrays.names if name.startswith("blur_")]
    assert len(names) == 10
    image = arrays("img1_uint8").float() / 255
    for name in names:
        _, kernel, sigma, _ = name.split("_")
        close(colour.blur(image, torch.tensor([float(sigma[1:])]), int(kernel[1:])), arrays(name), 2e-6)


def test_blur_kernels(arrays: Arrays) -> None:
    names = [name for name in arrays.names if name.startswith("blurkernel_")]
    assert len(names) == 15
    for name in names:
        _, kernel, sigma = name.split("_")
        taps = colour.blur_taps(torch.tensor([float(sigma[1:])]), int(kernel[1:]))[0]
        close(taps, torch.from_numpy(arrays.arrays[name]), 1e-6)


@pytest.mark.parametrize("dense", [0, 1000])
def test_given_boxes(arrays: Arrays, dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By dense matrices and by four taps alike."""
    monkeypatch.setattr(crop, "_DENSE", dense)
    for fact in arrays.facts["box"]:
        if fact["to"][0] == fact["to"][1]:
            box = torch.tensor([[fact["offset_y"], fact["offset_x"], fact["height"], fact["width"]]])
            found = crop.resized(arrays(f"img{fact['image']}_uint8"), box, fact["to"][0], "tensorflow")
            close(found, arrays(f"box{fact['index']}"), 2e-6)


@pytest.mark.parametrize("image", range(3))
def test_evaluation_view_above_32_pixels(arrays: Arrays, image: int) -> None:
    close(evaluation_view(arrays(f"img{image}_uint8"), official(), 56), arrays(f"eval_56x56_img{image}"), 2e-6)


def test_central_crops(arrays: Arrays) -> None:
    for height, width, *target, crop_height, crop_width, y, x in arrays.arrays["crop_shapes_ih_iw_H_W_ch_cw_oy_ox"].tolist():
        if target[0] == target[1]:
            found = crop.centre_boxes(torch.tensor([height]), torch.tensor([width]), 0.875)
            assert found[0].tolist() == [y, x, crop_height, crop_width]


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Kolmogorov and Smirnov's, of two samples."""
    both = np.sort(np.concatenate((a, b)))
    shares = [np.searchsorted(np.sort(s), both, side="right") / len(s) for s in (a, b)]
    return float(np.abs(shares[0] - shares[1]).max())


def crop_measures(boxes: np.ndarray, height: int) -> list[np.ndarray]:
    """Place, place relative to the free height, height, area and aspect."""
    y, x, h, w = boxes.T
    return [y, x, y / (height - h).clip(1), h, h * w, w / h]


@pytest.mark.parametrize(("height", "width"), [(224, 224), (100, 60)])
def test_law_of_the_random_crop(height: int, width: int) -> None:
    drawn = np.load(GOLDEN / "random_crop.npz")[f"crops_{height}x{width}_y_x_h_w"].astype(np.int64)
    n = len(drawn)
    ours = crop.random_boxes(torch.full((n,), height), torch.full((n,), width), official(), 3, index=torch.arange(n)).numpy()
    for a, b in zip(crop_measures(ours, height), crop_measures(drawn, height), strict=True):
        assert distance(a, b) < 0.02
    assert (ours[:, 2] * ours[:, 3]).min() >= 0.1 * height * width
    lower = ours[ours[:, 2] < height]
    assert (lower[:, 0] + lower[:, 2]).max() == height - 1  # never the last row, as in the official code


# ---------------------------------------------------------------- the slow reference


@pytest.mark.parametrize("blur_sigma", ["per_view", "per_sample"])
@pytest.mark.parametrize("images", [pictures(40, 32), digit_images()[0][:40]], ids=["colour", "greyscale digits"])
def test_views_equal_a_slow_reference(images: Tensor, blur_sigma: str) -> None:
    batch, size = len(images), images.shape[-1]
    config = official(blur_sigma=blur_sigma, blur_kernel=0.4)
    found = training_view(images, config, size, **arguments(batch))
    p = augment.draw(*augment.sizes(images), config, **arguments(batch))
    assert p.grey.any()
    assert p.blur.any()
    assert (p.order == 4).any()
    for i in range(batch):
        sigma = p.sigma[i if blur_sigma == "per_sample" else 0].item() if p.blur[i] else None
        expected = slow_augment.view(
            images[i].permute(1, 2, 0).numpy(),
            p.boxes[i].tolist(),
            bool(p.flip[i]),
            p.order[i].tolist(),
            p.factors[i].tolist(),
            bool(p.grey[i]),
            sigma,
            size,
            int(0.4 * size),
        )
        close(found[i].permute(1, 2, 0).double(), torch.from_numpy(expected), 2e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("size", [32, 96])
def test_a_gpu_shows_the_same_views(size: int) -> None:
    images = pictures(40, 64)
    found = training_view(images.cuda(), official(), size, **arguments(40))
    close(found.cpu(), training_view(images, official(), size, **arguments(40)), 1e-5)


def test_views_stay_in_range_and_keep_colour_neutral_images_neutral() -> None:
    images = digit_images()[0][:256]
    found = training_view(images, official(), 8, **arguments(256))
    assert 0 <= found.min() < found.max() <= 1
    assert torch.isfinite(found).all()
    close(found[:, 0], found[:, 1], 1e-6)
    close(found[:, 0], found[:, 2], 1e-6)


# ---------------------------------------------------------------- pure functions of (seed, epoch, sample, view)


def test_a_view_does_not_depend_on_its_batch() -> None:
    images = pictures(64, 32)
    whole = training_view(images, official(), 32, **arguments(64))
    part = training_view(images[10:21], official(), 32, **arguments(11, samples=torch.arange(10, 21)))
    close(part, whole[10:21], 1e-6)


@pytest.mark.parametrize(
    "change", [{"seed": 2}, {"view": 1}, {"epochs": torch.ones(64, dtype=torch.long)}, {"samples": torch.arange(64) + 64}]
)
def test_views_differ_by_seed_view_epoch_and_sample(change: dict[str, Any]) -> None:
    sizes = torch.full((64,), 32), torch.full((64,), 32)
    a = augment.draw(*sizes, official(), **arguments(64))
    b = augment.draw(*sizes, official(), **arguments(64, **change))
    assert (a.factors != b.factors).all()
    assert (a.boxes != b.boxes).any(1).sum() > 60
    assert torch.equal(a.sigma, b.sigma) == ("epochs" in change or "samples" in change)


def test_sigma_follows_the_train_step_and_nothing_else_does() -> None:
    sizes = torch.full((8,), 32), torch.full((8,), 32)
    a, b = (augment.draw(*sizes, official(), **arguments(8, train_step=step)) for step in (1, 2))
    assert a.sigma != b.sigma
    assert torch.equal(a.factors, b.factors)
    assert torch.equal(a.boxes, b.boxes)


def test_sigma_is_uniform_between_its_bounds_and_each_view_has_its_own() -> None:
    n, size = 1000, torch.full((3,), 32)
    config = official(blur_sigma_min=0.3, blur_sigma_max=1.7)
    by_view = []
    for view in (0, 1):
        drawn = [augment.draw(size, size, config, **arguments(3, train_step=t, view=view)).sigma for t in range(n)]
        assert all(len(sigma) == 1 for sigma in drawn)  # one for all images of the train step
        by_view.append(torch.cat(drawn).numpy())
    for sigma in by_view:
        assert 0.3 <= sigma.min() < 0.31
        assert 1.69 < sigma.max() <= 1.7
        assert distance(sigma, np.linspace(0.3, 1.7, 20000)) < 0.062  # 99.9 % of samples of this law are below
    for one, other in ((by_view[0], by_view[1]), (by_view[0][1:], by_view[0][:-1])):
        assert abs(np.corrcoef(one, other)[0, 1]) < 4 / n**0.5


def test_sigma_per_sample_is_uniform_and_apart_from_the_choice_to_blur() -> None:
    n = 20000
    p = augment.draw(torch.full((n,), 32), torch.full((n,), 32), official(blur_sigma="per_sample"), **arguments(n))
    assert p.sigma.shape == (n,)
    for sigma in (p.sigma.numpy(), p.sigma[p.blur].numpy()):
        assert distance(sigma, np.linspace(0.1, 2.0, n)) < 0.025


def test_shares_of_the_choices() -> None:
    n = 20000
    p = augment.draw(torch.full((n,), 32), torch.full((n,), 32), official(), **arguments(n))
    for chosen, share in ((p.flip, 0.5), (p.grey, 0.2), (p.blur, 0.5), (p.order[:, 0] < 4, 0.8)):
        assert abs(chosen.double().mean().item() - share) < 5 * (share * (1 - share) / n) ** 0.5
    for factors, low, high in (
        (p.factors[:, 0], 0.2, 1.8),
        (p.factors[:, 1], 0.2, 1.8),
        (p.factors[:, 2], 0.2, 1.8),
        (p.factors[:, 3], -0.2, 0.2),
    ):
        expected = np.linspace(low, high, n)
        assert distance(factors.numpy(), expected) < 0.02
    orders = p.order[p.order[:, 0] < 4]
    counts = torch.unique(orders, dim=0, return_counts=True)[1]
    assert len(counts) == 24
    assert (counts - len(orders) / 24).abs().max() < 5 * (len(orders) / 24) ** 0.5


def test_nothing_happens_when_nothing_is_asked() -> None:
    images = pictures(6, 32)
    config = official(
        crop_area_min=1.0, crop_aspect_min=1.0, crop_aspect_max=1.0, flip=0.0, colour_probability=0.0, greyscale=0.0, blur=0.0
    )
    close(training_view(images, config, 32, **arguments(6)), images.float() / 255, 1e-6)


# ---------------------------------------------------------------- options


def test_torchvision_crop_law() -> None:
    from torchvision.transforms import v2

    n = 4000
    torch.manual_seed(0)
    law = v2.RandomResizedCrop(32, scale=(0.08, 1.0))
    image = torch.empty(3, 100, 60)
    theirs = np.array(
        [[p[k] for k in ("top", "left", "height", "width")] for p in (law.make_params([image]) for _ in range(n))]
    )
    sizes = torch.full((5 * n,), 100), torch.full((5 * n,), 60)
    ours = crop.random_boxes(*sizes, official(crop="torchvision"), 3, index=torch.arange(5 * n)).numpy()
    for column in range(4):
        assert distance(ours[:, column], theirs[:, column]) < 0.035  # 99.9 % of equal laws are below 0.0345


def test_torchvision_colour_and_antialias() -> None:
    from torchvision.transforms.v2 import functional as F

    images = pictures(12, 64)
    config = official(crop="torchvision", resize="antialias", colour="torchvision", blur=0.0)
    found = training_view(images, config, 32, **arguments(12))
    p = augment.draw(*augment.sizes(images), config, **arguments(12))
    theirs = [F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue]
    for i in range(12):
        x = F.resized_crop(images[i].float() / 255, *p.boxes[i].tolist(), [32, 32], F.InterpolationMode.BICUBIC, antialias=True)
        x = (F.horizontal_flip(x) if p.flip[i] else x).clamp(0, 1)
        for operation in p.order[i].tolist():
            x = theirs[operation](x, p.factors[i, operation].item()) if operation < 4 else x
        close(found[i], F.rgb_to_grayscale(x, 3) if p.grey[i] else x, 5e-6)


def test_autoaugment_is_a_pure_function_too() -> None:
    images = pictures(8, 32)
    config = official(autoaugment=True, colour_probability=0.0, greyscale=0.0, blur=0.0)
    state = torch.get_rng_state()
    first = training_view(images, config, 32, **arguments(8))
    assert torch.equal(first, training_view(images, config, 32, **arguments(8)))
    assert torch.equal(first[3:], training_view(images[3:], config, 32, **arguments(5, samples=torch.arange(3, 8))))
    assert not torch.equal(first, training_view(images, config, 32, **arguments(8, view=1)))
    assert torch.equal(state, torch.get_rng_state())


def test_images_of_many_sizes() -> None:
    """A list gives what each image gives alone."""
    images = [pictures(1, size)[0, :, : size - 7] for size in (40, 90, 131)]
    found = training_view(images, official(), 48, **arguments(3))
    assert found.shape == (3, 3, 48, 48)
    for i, image in enumerate(images):
        alone = training_view(image[None], official(), 48, **arguments(1, samples=torch.tensor([i])))
        close(found[i], alone[0], 1e-6)
    assert evaluation_view(images, official(), 48).shape == (3, 3, 48, 48)


def test_small_images_are_evaluated_as_they_are() -> None:
    images = digit_images()[1][:9]
    assert torch.equal(evaluation_view(images, official(), 8), images.float() / 255)


@pytest.mark.parametrize("flipped", [False, True])
def test_a_photo_is_resized_as_in_a_batch(flipped: bool) -> None:
    """Alone, only the rows that are read become floats: the same bits."""
    photos = torch.randint(0, 256, (2, 3, 300, 200), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    boxes, flip = torch.tensor([[0, 0, 300, 200], [37, 11, 250, 180]]), torch.full((2,), flipped)
    whole = crop.resized(photos, boxes, 24, "tensorflow", flip)
    assert torch.equal(crop.resized(list(photos), boxes, 24, "tensorflow", flip), whole)
