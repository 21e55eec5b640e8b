"""simclr_spec.load: what was evaluated, bit for bit; and files that are no networks."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

import simclr_spec
from simclr_spec.core.errors import DataError, UsageError, WeightsError
from simclr_spec.core.fields import build
from simclr_spec.stages.common import DatasetConfig
from simclr_spec.store.layout import Store
from simclr_spec.train.checkpoint import read_metadata, write_tensors
from simclr_spec.train.data import datasets
from simclr_spec.train.loop.execute import execute
from simclr_spec.train.model.about import KEY
from simclr_spec.train.model.network import Network
from tests import tiny
from tests.steps import finished, prepare, step
from tests.trained import STEPS, Trained

DIGITS = tuple("0123456789")


def digits() -> Tensor:
    """(360, 3, 8, 8) uint8: the test images."""
    images = datasets.load(build(DatasetConfig, step("supervised")["dataset"]))
    assert isinstance(images.test, Tensor)
    return images.test


@pytest.mark.parametrize("name", STEPS)
def test_what_is_loaded_gives_what_was_evaluated(trained: Trained, name: str) -> None:
    network = simclr_spec.load(trained.folders[name].path)
    assert isinstance(network, torch.nn.Module)
    assert not any(module.training for module in network.modules())
    with torch.no_grad():
        assert torch.equal(network(digits().float() / 255), trained.outputs[name])
    pretrained = STEPS[name][0] == "pretrain"
    assert network.classes == (() if pretrained else DIGITS)
    assert network.image_size == 8
    whole = pretrained or name in ("linear_eval", "linear_eval_on_the_head")  # which leave what they start from as it is
    assert network.layers == (3 if whole else STEPS[name][2].get("from_layer", 0))
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", ["finetune", "linear_eval"])
def test_the_file_of_weights_in_a_run_folder_will_do(trained: Trained, name: str) -> None:
    """That of a linear evaluation has a classifier alone."""
    network = simclr_spec.load(str(trained.folders[name].weights))
    with torch.no_grad():
        assert torch.equal(network(digits().float() / 255), trained.outputs[name])


def test_features_are_those_of_the_encoder_and_of_the_kept_layers(trained: Trained) -> None:
    network = simclr_spec.load(trained.folders["linear_eval_on_the_head"].path)
    x = digits().float() / 255
    with torch.no_grad():
        features = [network.features(x, layer) for layer in range(3)]
        assert torch.equal(features[0], trained.outputs["pretrain"])
        assert torch.equal(network.features(x), features[0])
        assert network.classifier is not None
        assert torch.equal(network.classifier(features[2]), network(x))
    with pytest.raises(UsageError, match=r"^there is no layer 4: this network has layers 0 to 3$"):
        network.features(x, 4)


def test_old_weights_which_say_nothing_of_themselves_will_do(trained: Trained, tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    shutil.copytree(trained.store.path, store.path)
    for name, folder in trained.folders.items():
        before = store.folder(str(folder.path.relative_to(trained.store.path)))
        save_file(load_file(before.weights), before.weights)
        network = Network.of_folder(before).eval()
        assert network.classes == ()
        with torch.no_grad():
            assert torch.equal(network(digits().float() / 255), trained.outputs[name])


def test_a_step_that_leaves_no_weights_has_looked_at_its_parents_network(trained: Trained, tmp_path: Path) -> None:
    """As it sees images itself."""
    store = Store(tmp_path / "runs")
    shutil.copytree(trained.store.path, store.path)
    parent = store.folder(str(trained.folders["finetune"].path.relative_to(trained.store.path)))
    network = simclr_spec.load(finished(store, "supervised", {}, {"from": parent}, augment__resize="antialias").path)
    with torch.no_grad():
        assert torch.equal(network(digits().float() / 255), trained.outputs["finetune"])
    assert (network.about.kind, network.sight().resize, network.classes) == ("supervised", "antialias", DIGITS)


def test_preprocess_is_what_an_evaluation_sees(trained: Trained, tmp_path: Path) -> None:
    network, images = simclr_spec.load(trained.folders["supervised"].path), digits()
    for i in range(20):
        picture = Image.fromarray(images[i].permute(1, 2, 0).numpy())
        picture.save(tmp_path / "digit.png")
        for given in (picture, tmp_path / "digit.png", str(tmp_path / "digit.png")):
            assert torch.equal(network.preprocess(given), images[i].float() / 255)
    with pytest.raises(DataError, match=r"^cannot read the image nothing\.png: No such file"):
        network.preprocess("nothing.png")


def test_pictures_that_are_open_already_stay_as_they_are(trained: Trained, tmp_path: Path) -> None:
    network = simclr_spec.load(trained.folders["supervised"].path)
    noise = np.random.default_rng(0).integers(0, 256, (9, 12), dtype=np.uint8)
    palette = Image.fromarray(noise, "L").convert("P")
    palette.info["transparency"] = 3
    turned = Image.fromarray(noise, "L")
    turned.getexif()[0x0112] = 6
    palette.save(tmp_path / "palette.png")
    turned.save(tmp_path / "turned.png", exif=turned.getexif())
    for name in ("palette", "turned"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            before = (picture.size, dict(picture.info))
            seen = network.preprocess(picture)
            assert (picture.size, dict(picture.info)) == before
        assert torch.equal(seen, network.preprocess(tmp_path / f"{name}.png"))
    with pytest.raises(DataError, match="its pixels are floating-point numbers"):
        network.preprocess(Image.fromarray(noise.astype(np.float32)))


def test_classes_of_an_image_folder_are_its_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.images(tmp_path / "tinyset")
    monkeypatch.setenv("SIMCLR_SPEC_DATA", str(tmp_path))
    dataset = {"name": "tinyset", "loader": "image_folder", "classes": 3, "train_images": 12, "test_images": 6}
    overrides: dict[str, Any] = {f"dataset__{key}": value for key, value in dataset.items()}
    folder = prepare(Store(tmp_path / "runs"), "supervised", train_steps=2, labels__fraction=1.0, **overrides)
    execute(folder.path)
    assert simclr_spec.load(folder.path).classes == ("ant", "bee", "cat")


def test_whose_weights_it_began_with_is_known_of_all_that_comes_of_them(trained: Trained, tmp_path: Path) -> None:
    """An import tells its origin and licence; what is trained from it inherits them, each once."""
    store, before = Store(tmp_path / "runs"), trained.folders["pretrain"]
    about = replace(simclr_spec.load(before.path).about, origin=("theirs",), licence=("Apache-2.0",))
    released = finished(store, "pretrain", load_file(before.weights))
    write_tensors(released.weights, load_file(before.weights), about.metadata())
    tuned = prepare(store, "finetune", {"from": released}, train_steps=2)
    execute(tuned.path)
    student = prepare(store, "distill", {"teacher": tuned}, train_steps=2)
    execute(student.path)
    for folder in (tuned, student):
        found = simclr_spec.load(folder.path).about
        assert (found.origin, found.licence) == (("theirs",), ("Apache-2.0",))
    assert simclr_spec.load(trained.folders["finetune"].path).about.origin == ()


def hostile(path: Path, trained: Trained, change: Any = None, **tensors: Tensor | None) -> Path:
    """A file whose metadata `change` has changed, and some of its tensors."""
    weights = trained.folders["finetune"].weights
    found = {**load_file(weights), **tensors}
    about = json.loads(read_metadata(weights)[KEY])
    text = json.dumps(about if change is None else change(about))
    save_file({name: tensor for name, tensor in found.items() if tensor is not None}, path, {KEY: text})
    return path


def nested(about: Any, **values: Any) -> Any:
    return about | {"encoder": about["encoder"] | values}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda about: about | {"format": 2}, "was written by a later version of simclr-spec (format 2)"),
        (lambda about: [about], "does not say which network its tensors are of: its metadata 'simclr_spec' is damaged"),
        (lambda about: about | {"odd": 1}, "its metadata 'simclr_spec' is damaged"),
        (lambda about: nested(about, depth=19), "its metadata 'simclr_spec' is damaged"),
        (lambda about: nested(about, bn_epsilon=float("nan")), "its metadata 'simclr_spec' is damaged"),
        (lambda about: nested(about, width=10**6), "but this Step's network needs"),
        (
            lambda about: nested(about, width=10**40),
            "holds no network: nothing can have the sizes that its metadata 'simclr_spec' tells",
        ),
        (lambda about: nested(about, depth=34), "has no tensor encoder.group1.2.layers.0.conv.weight"),
        (lambda about: about | {"from_layer": 2}, "has a classifier on layer 2 of a projection head, and 1 layer of it"),
        (lambda about: about | {"from_layer": -1}, "its metadata 'simclr_spec' is damaged"),
        (lambda about: about | {"classes": ["a", "b"]}, "names 2 classes, and its network tells 10 apart"),
        *(
            (lambda about, lie=lie: about | lie, "its metadata 'simclr_spec' is damaged")
            for lie in [
                *({"label": label} for label in ("../x", "/tmp/x", "a/b", "..", ".x", "x\n", "\x1b[2Jx", "", "x" * 121)),
                *({"fingerprint": letters} for letters in ("/../../x", "0" * 63, "0" * 65, "0" * 64 + "\n", "A" * 64)),
                *({"kind": kind} for kind in ("", "\x1b[31m", "a b", "tune\n")),
                *({"image_size": size} for size in (0, -1, 8.5, 4097, 10**9)),
            ]
        ),
        (lambda about: about | {"head": about["head"] | {"layers": 10**9}}, "its metadata 'simclr_spec' is damaged"),
    ],
)
def test_metadata_that_lie(trained: Trained, tmp_path: Path, change: Any, sentence: str) -> None:
    path = hostile(tmp_path / "x.safetensors", trained, change)
    with pytest.raises(WeightsError) as error:
        simclr_spec.load(path)
    assert str(path) in str(error.value)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({"classifier.bias": None}, "has no tensor classifier.bias"),
        ({"classifier.weight": torch.zeros(10, 3)}, "classifier.weight is [10, 3] in"),
        ({"classifier.weight": torch.tensor(1.0)}, "classifier.weight is [] in"),
        ({"classifier.bias": torch.zeros(10, dtype=torch.int64)}, "is made of int64, and no network is"),
        ({"classifier.bias": torch.full((10,), torch.nan)}, "has numbers that are not finite"),
        ({"classifier.bias": torch.full((10,), 1e300, dtype=torch.float64)}, "has numbers that are not finite"),
        ({"encoder.stem.0.norm.running_var": torch.full((2,), -1e-9)}, "has negative numbers, which no variance is"),
    ],
)
def test_tensors_that_do_not_fit(trained: Trained, tmp_path: Path, tensors: dict[str, Any], sentence: str) -> None:
    with pytest.raises(WeightsError) as error:
        simclr_spec.load(hostile(tmp_path / "x.safetensors", trained, **tensors))
    assert sentence in str(error.value)


class Bomb:
    """A pickle that leaves a file behind where it is opened."""

    def __reduce__(self) -> tuple[Any, ...]:
        return open, ("executed", "w")


def test_files_that_are_something_else(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pickle.safetensors").write_bytes(pickle.dumps(Bomb()))
    torch.save({"a": torch.zeros(3), "bomb": Bomb()}, "torch.safetensors")
    whole = trained.folders["supervised"].weights.read_bytes()
    Path("half.safetensors").write_bytes(whole[: len(whole) // 2])
    Path("header.safetensors").write_bytes(struct.pack("<Q", 2**62) + whole[8:])
    Path("empty.safetensors").write_bytes(b"")
    for name in ("pickle", "torch", "half", "header", "empty"):
        with pytest.raises(WeightsError, match=rf"^{name}\.safetensors is no safetensors file, or damaged: "):
            simclr_spec.load(f"{name}.safetensors")
    assert not Path("executed").exists()
    save_file({"a": torch.zeros(3)}, "silent.safetensors")
    with pytest.raises(WeightsError, match=r"^silent\.safetensors does not say which network its tensors are of: it has no m"):
        simclr_spec.load("silent.safetensors")
    with pytest.raises(WeightsError, match=r"^cannot read nothing\.safetensors: No such file or directory"):
        simclr_spec.load("nothing.safetensors")
    with pytest.raises(WeightsError, match=r"is no run folder: it has no step\.json"):
        simclr_spec.load(tmp_path)
    waiting = prepare(Store(tmp_path / "runs"), "supervised")
    with pytest.raises(WeightsError, match="has not finished"):
        simclr_spec.load(waiting.path)
