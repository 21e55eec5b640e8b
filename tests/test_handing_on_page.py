"""docs/weights.md, its own networks: every command and the Python of that section, as they stand there, in an empty folder."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from shlex import split

import numpy as np
from PIL import Image

from simclr_spec.data.loaders.digits import LOADER
from tests import runs

PAGE = (Path(__file__).parents[1] / "docs" / "weights.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Use what you trained\n")[2].partition("\n## ")[0]


def test_the_page_is_followed(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    test = LOADER.read(None).test
    for i, pixels in enumerate(test.pixels[:40]):
        Image.fromarray(pixels.transpose(1, 2, 0)).save(tmp_path / "photos" / f"{i}.png")
    commands = [line for block in re.findall(r"(?s)^```\n(.*?)^```", SECTION, re.MULTILINE) for line in block.splitlines()]
    assert len(commands) == 5
    (python,) = re.findall(r"(?s)^```python\n(.*?)^```", SECTION, re.MULTILINE)
    for words in [
        *([sys.executable, "-m", *split(line.replace("-", "_", 1))] for line in commands),
        [sys.executable, "-c", python],
    ]:
        done = subprocess.run(words, cwd=tmp_path, env=runs.environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
    assert done.stdout.strip() in set("0123456789")
    with np.load(tmp_path / "features.npz") as arrays:
        assert arrays["features"].shape == (40, 64)
    rows = [line.split(",") for line in (tmp_path / "predictions.csv").read_text().splitlines()[1:]]
    right = sum(int(row[1]) == test.labels[int(row[0].partition(".")[0])] for row in rows)
    assert right > 25, "of 40"
