"""export, predict and embed as typed."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import simclr_spec
from simclr_spec.store.layout import Store
from tests.trained import Trained
from tests.typed import run, typed


@pytest.fixture
def here(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two images, beside the store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIMCLR_SPEC_STORE", str(trained.store.path))
    (tmp_path / "images").mkdir()
    for i in range(2):
        Image.fromarray(np.full((9, 8, 3), 100 * i, dtype=np.uint8)).save(tmp_path / "images" / f"{i}.png")
    return tmp_path


def word(trained: Trained, name: str) -> str:
    path = trained.folders[name].path
    return f"{path.parent.name}/{path.name}"


def test_what_is_exported_is_loaded_predicts_and_embeds(trained: Trained, here: Path) -> None:
    step = word(trained, "finetune")
    code, said = typed("export", step, "--licence", "CC0")
    place = Path("out", "export", step.partition("/")[2])
    assert (code, said) == (0, f"written: {place}/model.safetensors, {place}/README.md\n")
    assert "## Licence\n\nCC0\n" in (place / "README.md").read_text()
    file = str(place / "model.safetensors")
    assert simclr_spec.load(file).about.licence == ("CC0",)
    shown = run("predict", file, "images")
    assert shown.exit_code == 0
    assert [row[0] for row in csv.reader(shown.stdout.splitlines())] == ["file", "0.png", "1.png"]
    assert typed("predict", step, "images", "-o", "p.csv") == (0, "p.csv: 2 images\n")
    assert Path("p.csv").read_text() == shown.stdout
    assert typed("embed", file, "images", "-o", "f.npz", "--layer", "1") == (0, "f.npz: 16 features of 2 images\n")
    assert typed("embed", step, "images", "-o", "f.parquet") == (0, "f.parquet: 16 features of 2 images\n")
    assert typed("export", file, "-o", "again", "--format", "torchscript")[0] == 0
    assert sorted(path.name for path in Path("again").iterdir()) == ["README.md", "model.pt", "model.safetensors"]


def test_an_image_that_cannot_be_read_leaves_nothing_behind(trained: Trained, here: Path) -> None:
    (here / "images" / "2.png").write_text("no image")
    for words in (("predict",), ("predict", "-o", "p.csv"), ("embed", "-o", "f.npz")):
        done = run(words[0], word(trained, "finetune"), "images", *words[1:])
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr.startswith("cannot read the image images/2.png: ")
    assert [path.name for path in here.iterdir()] == ["images"]


def test_names_of_classes_and_other_words_that_cannot_be_obeyed(trained: Trained, here: Path) -> None:
    step = word(trained, "finetune")
    (here / "names").write_bytes(b"\xff\xff")
    assert typed("predict", step, "images", "--classes", "names") == (
        2,
        "names is no text in UTF-8: --classes wants names, one a line\n",
    )
    assert typed("predict", step, "images", "--classes", "none") == (2, "cannot read none: No such file or directory\n")
    assert typed("embed", step, "images", "-o", "f.csv") == (2, "f.csv: features are written as .npz or .parquet\n")
    code, said = typed("predict", word(trained, "pretrain"), "images")
    assert code == 2
    assert "has no classifier" in said


def test_without_pyarrow_a_sentence_says_how_to_get_it(trained: Trained, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    told = typed("embed", word(trained, "finetune"), "images", "-o", "f.parquet")
    assert told == (2, "Parquet needs pyarrow: pip install 'simclr-spec[parquet]'\n")


def test_a_store_that_is_not_there(here: Path) -> None:
    assert typed("export", "1a2b", "--store", "nowhere")[0] == 2
    assert Store(Path("nowhere")).path.exists() is False
