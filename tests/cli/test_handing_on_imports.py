"""export, predict and embed of networks that were trained elsewhere, and of what starts from them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import simclr_spec
from simclr_spec.core.files import read_json
from simclr_spec.store.layout import RunFolder, Store
from tests import tiny
from tests.imported import WEIGHTS, project
from tests.typed import run, typed


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a checkpoint of pretraining was imported, tested as it is, and fine-tuned from layer 1."""
    folder = tmp_path_factory.mktemp("imported")
    project(folder)
    done = tiny.call(folder, "run", "mine.toml", "stage=start,audit,tuned1")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def here(imported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIMCLR_SPEC_STORE", str(imported / "runs"))
    (tmp_path / "images").mkdir()
    Image.fromarray(np.full((8, 8, 3), 100, dtype=np.uint8)).save(tmp_path / "images" / "0.png")
    return tmp_path


def folder_of(folder: Path, stage: str) -> RunFolder:
    steps = Store(folder / "runs").folders()
    (found,) = (each for each in steps if read_json(each.step)["coordinates"]["stage"] == stage)
    return found


def card_of(folder: Path, stage: str, *words: str) -> str:
    code, said = typed("export", str(folder_of(folder, stage).path), "-o", stage, *words)
    assert code == 0, said
    return re.sub(r"\\(.)", r"\1", Path(stage, "README.md").read_text())


def test_an_import_is_exported_with_all_that_it_has(imported: Path, here: Path) -> None:
    text = card_of(imported, "start", "--format", "torchscript")
    network, kept = simclr_spec.load("start/model.safetensors"), load_file(folder_of(imported, "start").weights)
    assert load_file("start/model.safetensors").keys() == kept.keys()
    x = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        assert [network.features(x, layer).shape for layer in range(4)] == [(2, 16)] * 4
        assert network.classifier is not None
        assert torch.equal(network(x), network.classifier(network.features(x)))
        script = torch.jit.load("start/model.pt")  # type: ignore[no-untyped-call]
        assert (script(x) - network(x)).abs().max() <= 1e-4
    assert "the encoder, 3 layers of its projection head, a classifier of 10 classes on the encoder's output." in text


def test_its_card_says_what_it_is_and_of_no_images_here(imported: Path, here: Path) -> None:
    text, sha256 = card_of(imported, "start"), read_json(folder_of(imported, "start").result)["weights_sha256"]
    told = f"trained elsewhere: `mine/network` from https://example.org/mine, licence MIT, SHA-256 `{sha256}`."
    assert told in text
    for word in ("dataset", "`digits`", "images |", "| Step", "## How good it is", "preprocess(", "8 × 8", "3, 8, 8"):
        assert word not in text, word
    audited, tuned = card_of(imported, "audit"), card_of(imported, "tuned1")
    assert told in audited
    assert told in tuned
    assert [line.split(" | ")[1] for line in audited.splitlines() if line.startswith("| `")] == [
        "`digits`, its test images alone"
    ]
    assert [line.split(" | ")[1] for line in tuned.splitlines() if line.startswith("| `")] == [
        "`digits`, 1,437 training images"
    ]
    assert re.search(r"^On 360 test images\.\n\n.*\n.*\n(\| \w+ \| \d+\.\d % \|\n)+$", audited, re.MULTILINE)
    assert re.search(r"^\| loss \| \d+\.\d{3} \|$", tuned, re.MULTILINE)


def test_it_sees_images_as_the_step_that_tests_it(imported: Path, here: Path) -> None:
    start, audit = (str(folder_of(imported, stage).path) for stage in ("start", "audit"))
    for words in (("predict", start, "images"), ("embed", start, "images", "-o", "f.npz")):
        code, said = typed(*words)
        assert code == 2
        assert re.fullmatch(
            r"nothing says how r18-1x sees images, .*: take a Step that tests it or starts from it, or .*\n", said
        )
    assert run("predict", audit, "images").stdout.count("\n") == 2
    assert typed("embed", audit, "images", "-o", "f.npz", "--layer", "3") == (0, "f.npz: 16 features of 1 image\n")


def test_what_was_exported_is_a_start_again(imported: Path, here: Path) -> None:
    """Head included: fine-tuning begins in its middle."""
    card_of(imported, "start")
    project(here)
    file = "mine/model.safetensors"
    Path("start/model.safetensors").rename(here / "weights" / file)
    weights = WEIGHTS.format(
        layout="simclr-spec",
        depth=18,
        base=2,
        stem="cifar",
        max_pool="tensorflow",
        made_by="pretrain",
        file=file,
        layers=3,
        more="",
    )
    Path("weights.toml").write_text(weights)
    done = tiny.call(here, "run", "mine.toml", "stage=start,tuned1", "--store", "runs")
    assert done.returncode == 0, done.stdout + done.stderr
    for stage in ("start", "tuned1"):
        before, again = (load_file(folder_of(folder, stage).weights) for folder in (imported, here))
        assert before.keys() == again.keys()
        assert all(torch.equal(tensor, again[name]) for name, tensor in before.items())
