"""Small folders of images, and what may be wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from simclr_spec.plan import Plan, compile
from simclr_spec.stages.common import DatasetConfig

CLASSES = ("ape", "bat", "cow")
DATASET = """
name = "pets"
loader = "image_folder"
classes = 3
train_images = 12
test_images = 6
image_size = 8
"""
SPEC = """
title = "Pets"
recipe = "simclrv2"
scale = "small.toml"
dataset = "pets.toml"
encoders = [{ depth = 18 }]

[stages.pretrain]
kind = "pretrain"

[stages.supervised]
kind = "supervised"
"""
SCALE = """
title = "small"
[common]
train_steps = 2
batch = 4
encoder = { base_width = 2, stem = "cifar" }
[pretrain]
head.out_dim = 4
memory.enabled = false
knn_neighbours = 3
[supervised]
augment.autoaugment = false
"""


def pets(folder: Path, classes: Sequence[str] = CLASSES, train: int = 4, test: int = 2) -> Path:
    """train/CLASS/N.png and val/CLASS/N.png, every image of another colour."""
    for split, count in (("train", train), ("val", test)):
        for label, name in enumerate(classes):
            for number in range(count):
                picture(folder / split / name / f"{number}.png", (80 * label, 40 * number, 9 * len(split)))
    return folder


def picture(file: Path, colour: tuple[int, int, int] = (200, 30, 30), size: tuple[int, int] = (12, 10)) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(file)
    return file


def written(folder: Path, spec: str = SPEC, scale: str = SCALE, dataset: str = DATASET) -> Path:
    """A spec, its scale and its data set in a folder; the path of the spec."""
    for name, text in (("small", scale), ("pets", dataset), ("mine", spec)):
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder / "mine.toml"


def planned(folder: Path, **changes: str) -> Plan:
    return compile([str(written(folder, **changes))])


def declared(**changes: object) -> DatasetConfig:
    plain: dict[str, object] = {"name": "pets", "loader": "image_folder", "digest": "", "classes": 3}
    plain |= {"train_images": 12, "test_images": 6, "image_size": 8}
    return DatasetConfig(**(plain | changes))  # type: ignore[arg-type]
