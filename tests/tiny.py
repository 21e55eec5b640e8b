"""A folder of tiny real images, and the spec, scale and data set of a person who trains on them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from tests import runs

SPEC = """
title = "Tiny folder"
recipe = "simclrv2"
scale = "tiny-scale.toml"
encoders = [{ depth = 18 }]

[stages.pretrain]
kind = "pretrain"

[stages.finetune]
kind = "finetune"
from = "pretrain"
labels_per_class = 2

[stages.supervised]
kind = "supervised"
label_fraction = 1.0
"""
SCALE = """
title = "tiny"
dataset = "tinyset.toml"

[common]
batch = 8
train_steps = 2
batch_at_most_examples = true
encoder = { base_width = 2, stem = "cifar" }
head = { out_dim = 8 }

[pretrain]
memory = { enabled = false }

[supervised]
augment = { autoaugment = false }
"""
REPORT = """
title = "Mine"
spec = "mine.toml"
metric = "top1"
columns = [{ title = "top-1", where = { seed = 0 } }]
rows = [{ title = "alone", where = { stage = "supervised" } }, { title = "tuned", where = { stage = "finetune" } }]
"""
DATASET = """# mine
name = { value = "tinyset", source = "own", status = "assumed" }
loader = { value = "image_folder", source = "own", status = "assumed" }
digest = { value = "", source = "not verified", status = "assumed" }   # not yet
classes = { value = 3, source = "own", status = "assumed" }
train_images = { value = 12, source = "own", status = "assumed" }
test_images = { value = 6, source = "own", status = "assumed" }
image_size = { value = 12, source = "own", status = "assumed" }
"""


def images(folder: Path, seed: int = 0) -> None:
    """3 classes, 4 training and 2 test images each; the same names whatever the seed. Written long ago."""
    random = np.random.default_rng(seed)
    for split, count in (("train", 4), ("val", 2)):
        for name in ("ant", "bee", "cat"):
            (folder / split / name).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                path = folder / split / name / f"{i}.png"
                Image.fromarray(random.integers(0, 256, (14, 12, 3), dtype=np.uint8)).save(path)
                os.utime(path, (seed + 1, seed + 1))


def project(folder: Path) -> Path:
    """mine.toml, tiny-scale.toml, tinyset.toml, and the images in data/tinyset. Returns the spec."""
    for name, text in (("mine.toml", SPEC), ("tiny-scale.toml", SCALE), ("tinyset.toml", DATASET)):
        (folder / name).write_text(text)
    images(folder / "pictures")
    return folder / "mine.toml"


def call(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`simclr-spec WORDS` typed in that folder, with its store runs."""
    values = {key: value for key, value in runs.environment().items() if key != "SIMCLR_SPEC_DATA"}
    command = [sys.executable, "-m", "simclr_spec", *words]
    return subprocess.run(command, capture_output=True, text=True, env=values, cwd=folder, timeout=300, check=False)
