"""Files that want to harm: one sentence each, bounded memory, and nothing in them is executed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from simclr_spec.core.errors import WeightsError
from simclr_spec.train.weights.pickles import fault
from simclr_spec.train.weights.read import read
from tests.data.bundle.writing import write_bundle
from tests.train.weights.foreign import checkpoint, narrow, variables, wish
from tests.train.weights.hostile import HOSTILE, MARK, TOUCH, bare, key, rezipped, saved, small

MEGABYTE = 10**6
MOST = 150 * MEGABYTE
"""That a process may grow by, for a file of a few hundred kilobytes; torch's first use of what it has not loaded is in it."""


def refused(cases: list[tuple[str, int, Path]], folder: Path) -> list[tuple[str, int]]:
    """What a process of its own says of each, and how much it grew."""
    lines = "".join(json.dumps([layout, depth, str(path)]) + "\n" for layout, depth, path in cases)
    command = [sys.executable, "-m", "tests.train.weights.reading"]
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        command,
        input=lines,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": root},
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def test_hostile_files(tmp_path: Path) -> None:
    cases = []
    for number, (make, _) in enumerate(HOSTILE.values()):
        path = tmp_path / f"{number}.pth"
        path.write_bytes(make())
        cases.append(("separius", 50, path))
    (tmp_path / "good.pth").write_bytes(saved())
    (tmp_path / "good_old.pth").write_bytes(saved(zipped=False))
    good = [("separius", 50, tmp_path / "good.pth"), ("separius", 50, tmp_path / "good_old.pth")]
    *found, whole, old = refused([*cases, *good], tmp_path)
    assert (whole[0], old[0]) == ("", ""), "the limits are not what refuses"
    for (name, (_, expected)), (_, _, path), (said, grown) in zip(HOSTILE.items(), cases, found, strict=True):
        assert expected.format(path) in said, (name, said)
        assert str(path) in said, name
        assert "\n" not in said, name
        assert len(said) < 400, name
        assert grown < MOST, (name, grown)
    assert not (tmp_path / MARK).exists()


def test_these_files_would_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they are opened as pickles are."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(TOUCH, 2))
    assert (tmp_path / MARK).exists()
    (tmp_path / MARK).unlink()
    torch.load(io.BytesIO(saved(TOUCH)), weights_only=False)
    assert (tmp_path / MARK).exists()


def said(path: Path, layout: str, **weights: Any) -> str:
    """In this process."""
    with pytest.raises(WeightsError) as error:
        read(wish(weights.pop("encoder", narrow(50)), layout=layout, **weights), path, str)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value).replace(str(path), "FILE")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before-1.6"])
def test_a_cut_file(zipped: bool, tmp_path: Path) -> None:
    data, path = saved(zipped=zipped), tmp_path / "m.pth"
    for end in [*range(0, 40, 3), *np.linspace(40, len(data) - 1, 60, dtype=int), len(data) - 1]:
        path.write_bytes(data[:end])
        assert "FILE" in said(path, "separius")


def test_a_cut_safetensors_file(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"conv1.weight": torch.rand(2, 3, 7, 7), "bn1.weight": torch.rand(2)}, path)
    data = path.read_bytes()
    for end in range(0, len(data), 13):
        path.write_bytes(data[:end])
        assert said(path, "torchvision").startswith("FILE is no safetensors file")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before-1.6"])
def test_any_byte_may_be_another(zipped: bool, tmp_path: Path) -> None:
    """It is read, or refused in a sentence: nothing else happens."""
    data, path = saved(zipped=zipped), tmp_path / "m.pth"
    random = np.random.default_rng(0)
    for place in random.integers(0, len(data), 150):
        path.write_bytes(data[:place] + bytes([random.integers(256)]) + data[place + 1 :])
        with contextlib.suppress(WeightsError):
            read(wish(narrow(50), layout="separius"), path, str)


def test_a_header_without_end(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes((2**40).to_bytes(8, "little") + b"{}")
    assert said(path, "torchvision") == "FILE is no safetensors file, or damaged: its header would have 1.1 TB"


def test_what_is_no_file_and_a_header_that_is_there(tmp_path: Path) -> None:
    """A pipe would wait for somebody to write into it."""
    paths = {name: tmp_path / name for name in ("pipe.pth", "pipe.safetensors", "folder.pth", "header.safetensors")}
    for name in ("pipe.pth", "pipe.safetensors"):
        os.mkfifo(paths[name])
    paths["folder.pth"].mkdir()
    tensors = {f"t{number}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for number in range(300_000)}
    header = json.dumps(tensors, separators=(",", ":")).encode()
    paths["header.safetensors"].write_bytes(len(header).to_bytes(8, "little") + header)
    found = refused([("torchvision", 50, path) for path in paths.values()], tmp_path)
    assert [said.replace(f"{tmp_path}/", "") for said, _ in found] == [
        "cannot read pipe.pth: it is no regular file",
        "pipe.safetensors is no safetensors file, or damaged: it is no regular file",
        "cannot read folder.pth: it is no regular file",
        "header.safetensors is no safetensors file, or damaged: its header would have 18 MB",
    ]
    assert max(grown for _, grown in found) < MOST
    save_file({f"t{number}": torch.zeros(0) for number in range(20_001)}, tmp_path / "many.safetensors")
    assert said(tmp_path / "many.safetensors", "torchvision") == (
        "cannot read FILE: it names more than 20,000 tensors of 1,000 letters each, and no network does"
    )


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before-1.6"])
def test_what_harms_nobody(zipped: bool, tmp_path: Path) -> None:
    """A training's own file: its optimiser, numbers, lists, parameters, one storage in two tensors, and a module's metadata."""
    layer = torch.nn.Linear(3, 3)
    optimiser = torch.optim.Adam(layer.parameters())
    layer(torch.rand(2, 3)).sum().backward()
    optimiser.step()
    shared = torch.zeros(3, 4)
    more = {"optimizer": optimiser.state_dict(), "model": layer.state_dict(), "parameter": layer.weight, "rates": [0.1, (1, 2)]}
    (tmp_path / "m.pth").write_bytes(saved(zipped=zipped, epoch=10**20, views=[shared.T, shared[1:, ::2]], **more))
    tensors = read(wish(narrow(50), layout="separius"), tmp_path / "m.pth", str)
    assert torch.equal(tensors["classifier.bias"], small()["resnet"]["fc.bias"])


def test_a_state_dict_of_python_2(tmp_path: Path) -> None:
    """Its ordered tables are made of a list of pairs."""
    data = rezipped(bare({}), data_pkl=b"\x80\x02ccollections\nOrderedDict\n](](" + key("a") + b"Nee\x85R.")
    (tmp_path / "m.pth").write_bytes(data)
    assert torch.load(tmp_path / "m.pth", weights_only=True) == {"a": None}
    assert fault(tmp_path / "m.pth") == ("", True)


TWO_BY_TWO = np.zeros((2, 2), np.float32)
ODD: dict[str, tuple[dict[str, Any], str]] = {
    "a step that is no number": ({"global_step": np.array(np.nan, np.float32)}, "is made of float32, and no train step is"),
    "a step without end": ({"global_step": np.array(np.inf)}, "is made of float64, and no train step is"),
    "half a step": ({"global_step": np.array(750.5)}, "is made of float64, and no train step is"),
    "a classifier of one number": ({"head_supervised/linear_layer/dense/kernel": np.array(1.0)}, "has no classifier"),
    "a classifier in three dimensions": (
        {"head_supervised/linear_layer/dense/kernel": np.zeros((64, 1, 10), np.float32)},
        "head_supervised/linear_layer/dense/kernel in FILE is [64, 1, 10], and does not fit classifier.weight",
    ),
    "two classifiers": (
        {"head_supervised/other/dense/kernel": TWO_BY_TWO},
        "two layers where a network has one: head_supervised/linear_layer/dense and head_supervised/other/dense",
    ),
    "two first convolutions": ({"base_model/a/conv2d/kernel": TWO_BY_TWO}, "two layers where a network has one: base_model/"),
    "two first BNs": ({"base_model/sync_batch_normalization/gamma": np.ones(2)}, "two layers where a network has one: base"),
    "two layers of the head": (
        {"head_contrastive/nl_0/other/dense/kernel": TWO_BY_TWO},
        "two layers where a network has one: head_contrastive/",
    ),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_checkpoints(case: str, tmp_path: Path) -> None:
    tensors, expected = ODD[case]
    step: dict[str, Any] = {"global_step": np.array(751)}
    path = checkpoint(tmp_path / "m", variables(narrow(50)), **step | tensors)
    assert expected in said(path, "tensorflow", train_step=751)


def test_names_that_no_layer_has_are_left_aside(tmp_path: Path) -> None:
    more: dict[str, Any] = {"base_model/conv2d_99/gamma": np.ones(2)}
    path = checkpoint(tmp_path / "m", variables(narrow(50)), **more)
    assert read(wish(narrow(50), train_step=250228), path, str)


# ---------------------------------------------------------------------------------------------- what is not wanted of it


def test_another_network_than_wanted(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "m", variables(narrow(101, sk=True)))
    wanted = "and depth=50 width=1 sk=false of base_width 2 is wanted"
    assert said(path, "tensorflow") == f"FILE holds a ResNet-101 (2 channels, SK), {wanted}"
    assert said(path, "tensorflow", head_layers=8, encoder=narrow(101, sk=True)) == (
        "FILE holds 3 layers of the projection head, and head_layers = 8 is wanted"
    )
    assert said(path, "tensorflow", classes=1000, encoder=narrow(101, sk=True)) == (
        "FILE has a classifier of 10 classes, and one of 1,000 classes is wanted"
    )
    assert said(path, "tensorflow", train_step=751, encoder=narrow(101, sk=True)) == (
        "FILE is of train step 250,228, and 751 is wanted (train_step)"
    )
    assert said(path, "separius", encoder=narrow(101, sk=True)) == "cannot read FILE: No such file or directory"


def test_a_network_of_full_width(tmp_path: Path) -> None:
    """Its words are those of the paper."""
    path = tmp_path / "m.pth"
    torch.save(torchvision.models.resnet50(weights=None).state_dict(), path)
    deeper, selective = narrow(101, base_width=64), narrow(50, base_width=64, sk=True)
    for asked, found in ((deeper, "depth=101 width=1 sk=false"), (selective, "depth=50 width=1 sk=true")):
        assert said(path, "torchvision", encoder=asked) == f"FILE holds a ResNet-50 (1×), and {found} is wanted"
    assert said(path, "torchvision", encoder=narrow(50, base_width=64)) == (
        "FILE has no projection head, and head_layers = 3 is wanted"
    )


@pytest.mark.parametrize(("name", "depth"), [("resnet18", 18), ("resnet34", 34)])
def test_torchvisions_basic_networks(name: str, depth: int, tmp_path: Path) -> None:
    torch.save(torchvision.models.get_model(name, weights=None).state_dict(), tmp_path / "m.pth")
    assert said(tmp_path / "m.pth", "torchvision", encoder=narrow(depth, base_width=64)) == (
        f"FILE holds a ResNet-{depth} without a projection in its first group, which the network here has; "
        "take one of depth 50 or more"
    )


def test_what_a_checkpoint_has_not(tmp_path: Path) -> None:
    bare = checkpoint(tmp_path / "m", variables(narrow(50), None, None))
    assert said(bare, "tensorflow") == "FILE has no projection head, and head_layers = 3 is wanted"
    assert said(bare, "tensorflow", head_layers=0) == "FILE has no classifier, and one of 10 classes is wanted"
    write_bundle(tmp_path / "other", {f"dense_{k}/kernel": np.zeros((2, 2), np.float32) for k in range(5)})
    assert said(tmp_path / "other", "tensorflow") == (
        "FILE holds no network of layout 'tensorflow'; it has 'dense_0/kernel', 'dense_1/kernel', 'dense_2/kernel' and 2 more, "
        "and depth=50 width=1 sk=false of base_width 2 is wanted"
    )
    (tmp_path / "m").touch()
    assert said(bare, "tensorflow") == "FILE is no checkpoint of TensorFlow: it is a file of another kind"
    assert said(tmp_path / "nothing", "tensorflow") == "FILE is no checkpoint of TensorFlow: no nothing.index is there"
