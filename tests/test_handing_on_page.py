"""docs/weights.md, its own networks: every command and the Python of that section, as they stand there, in an empty folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from simclr_spec.data.loaders.digits import LOADER
from tests import runs
from tests.pages import Page, typed

SECTION = Page.read("weights.md").section("Use what you trained")


def test_the_page_is_followed(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    test = LOADER.read(None).test
    for i, pixels in enumerate(test.pixels[:40]):
        Image.fromarray(pixels.transpose(1, 2, 0)).save(tmp_path / "photos" / f"{i}.png")
    commands = "".join(SECTION.blocks())
    assert len(commands.splitlines()) == 5
    typed(commands, tmp_path)
    (python,) = SECTION.blocks("python")
    words = [sys.executable, "-c", python]
    done = subprocess.run(words, cwd=tmp_path, env=runs.environment(), capture_output=True, text=True, check=False)
    assert done.stdout.strip() in set("0123456789"), done.stderr
    with np.load(tmp_path / "features.npz") as arrays:
        assert arrays["features"].shape == (40, 64)
    rows = [line.split(",") for line in (tmp_path / "predictions.csv").read_text().splitlines()[1:]]
    right = sum(int(row[1]) == test.labels[int(row[0].partition(".")[0])] for row in rows)
    assert right > 25, "of 40"
