"""SimCLR views on one CPU thread: this package against torchvision v2 (image by image) and kornia (batched), side by side.

    python benchmarks/augment.py [--size 32] [--batch 256] [--rounds 9]

Every pipeline draws new parameters for every image. Rounds are interleaved, so that a busy machine slows all of them alike; the
median over rounds of the ratio is what counts. kornia is left out where it is not installed.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
import torchvision
from torch import Tensor
from torchvision.transforms import v2

from simclr_spec.core.fields import build
from simclr_spec.plan import compile
from simclr_spec.stages.common import AugmentConfig
from simclr_spec.stages.pretrain import PretrainConfig
from simclr_spec.train.views.augment import training_views


def official() -> AugmentConfig:
    """The recipe's, at the colour strength of CIFAR-10."""
    step = next(step for step in compile(["table1"], sets=["augment.colour_strength=0.5"]).steps if step.kind == "pretrain")
    config: AugmentConfig = build(PretrainConfig, dict(step.params)).augment
    return config


def ours(images: Tensor, size: int, config: AugmentConfig) -> Callable[[int], Tensor]:
    samples, epochs = torch.arange(len(images)), torch.zeros(len(images), dtype=torch.long)
    return lambda step: training_views(
        [images], config, size, seed=0, train_step=step, samples=samples, epochs=epochs + step, views=1
    )[0]


def per_image(images: Tensor, size: int, config: AugmentConfig, form: str) -> Callable[[int], list[Tensor]]:
    """torchvision v2, in its fastest documented order for each form of image."""
    s = config.colour_strength
    kernel = int(config.blur_kernel * size) // 2 * 2 + 1
    steps = [
        v2.RandomResizedCrop(size, interpolation=v2.InterpolationMode.BICUBIC, antialias=form == "PIL"),
        v2.RandomHorizontalFlip(),
        v2.RandomApply([v2.ColorJitter(0.8 * s, 0.8 * s, 0.8 * s, 0.2 * s)], config.colour_probability),
        v2.RandomGrayscale(config.greyscale),
        *(
            [v2.RandomApply([v2.GaussianBlur(kernel, (config.blur_sigma_min, config.blur_sigma_max))], config.blur)]
            if config.blur
            else []
        ),
    ]
    last = [v2.PILToTensor()] if form == "PIL" else []
    pipeline = v2.Compose([*steps, *last, v2.ToDtype(torch.float32, scale=True)])
    sources = {
        "PIL": lambda: [v2.functional.to_pil_image(image) for image in images],
        "uint8": lambda: list(images),
        "float": lambda: list(images.float() / 255),
    }[form]()
    return lambda _: [pipeline(image) for image in sources]


def with_kornia(images: Tensor, size: int, config: AugmentConfig) -> Callable[[int], Tensor] | None:
    try:
        import kornia.augmentation as K  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return None
    s = config.colour_strength
    kernel = int(config.blur_kernel * size) // 2 * 2 + 1
    sigma = (config.blur_sigma_min, config.blur_sigma_max)
    blur = [K.RandomGaussianBlur((kernel, kernel), sigma, p=config.blur)] if config.blur else []
    pipeline = K.AugmentationSequential(
        K.RandomResizedCrop((size, size), scale=(0.08, 1.0), resample="bicubic"),
        K.RandomHorizontalFlip(),
        K.ColorJitter(0.8 * s, 0.8 * s, 0.8 * s, 0.2 * s, p=config.colour_probability),
        K.RandomGrayscale(p=config.greyscale),
        *blur,
    )
    return lambda _: pipeline(images.float() / 255)


def measure(pipelines: dict[str, Callable[[int], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each pipeline in each round."""
    seconds: dict[str, list[float]] = {name: [] for name in pipelines}
    for step in range(rounds + 1):
        for name, run in pipelines.items():
            start = time.perf_counter()
            run(step)
            if step:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)
    return seconds


def compare(images: Tensor, size: int, config: AugmentConfig, rounds: int) -> None:
    pipelines: dict[str, Callable[[int], object]] = {
        "ours, official laws": ours(images, size, config),
        "ours, torchvision's crop and colour": ours(images, size, replace(config, crop="torchvision", colour="torchvision")),
    }
    for form in ("PIL", "uint8", "float"):
        pipelines[f"torchvision v2, one {form} image at a time"] = per_image(images, size, config, form)
    if (kornia := with_kornia(images, size, config)) is not None:
        pipelines["kornia, batched"] = kornia
    seconds = measure(pipelines, rounds)
    first = next(iter(seconds))
    for name, each in seconds.items():
        ratio = statistics.median(other / mine for other, mine in zip(each, seconds[first], strict=True))
        best, median = 1e3 * min(each), 1e3 * statistics.median(each)
        print(
            f"  {name:<44} {best:8.1f} ms best {median:8.1f} ms median {len(images) / median * 1e3:8.0f} views/s  {ratio:5.1f}x"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=32, help="side of images and views, in pixels")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    coarse = torch.rand(args.batch, 3, 8, 8) * 255
    images = torch.nn.functional.interpolate(coarse, (args.size, args.size), mode="bilinear").to(torch.uint8)
    print(
        f"torch {torch.__version__}, torchvision {torchvision.__version__}, {_kornia_version()}, "
        f"{platform.machine()}, one thread"
    )
    for label, blur in (("with blur", 0.5), ("without blur", 0.0)):
        print(f"{args.batch} views of {args.size}x{args.size}, {label}; ratio = time over ours, official laws")
        compare(images, args.size, replace(official(), blur=blur), args.rounds)


def _kornia_version() -> str:
    try:
        import kornia  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return "kornia not installed"
    return f"kornia {kornia.__version__}"


if __name__ == "__main__":
    main()
