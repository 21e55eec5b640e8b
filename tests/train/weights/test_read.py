"""Files that others wrote become the network that they are of."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor

from simclr_spec.stages.common import HeadConfig
from simclr_spec.train.model.encoder import DEVIATION, MEAN, Encoder
from simclr_spec.train.model.heads import Classifier, ProjectionHead
from simclr_spec.train.weights.held import Wanted
from simclr_spec.train.weights.read import read
from tests.data.bundle.writing import write_bundle
from tests.golden_rule import filled
from tests.places import GOLDEN
from tests.train.golden_fill import encoder_params, tensor_name, to_torch
from tests.train.weights.foreign import (
    SEED,
    Variables,
    checkpoint,
    narrow,
    separius,
    variables,
    wish,
)

BOUND = 2e-5
"""Of the golden README for inference in float32."""
HEADS_BOUND = 1e-5


def tensors(config: Wanted, path: Path) -> tuple[dict[str, Tensor], str]:
    """What is read, and what was told."""
    told: list[str] = []
    return read(config, path, told.append), "\n".join(told)


def encoder_of(config: Wanted, found: dict[str, Tensor]) -> Encoder:
    encoder = Encoder(config.encoder)
    encoder.load_state_dict({name.removeprefix("encoder."): t for name, t in found.items() if name.startswith("encoder.")})
    return encoder.eval()


def golden(folder: Path, key: str) -> tuple[dict[str, Any], Any]:
    return json.loads((folder / f"{key}.json").read_text()), np.load(folder / f"{key}.npz")


def check_pool(config: Wanted, path: Path, facts: dict[str, Any], arrays: Any) -> None:
    found, _ = tensors(config, path)
    pixels = torch.tensor(arrays["x_uint8"][: facts["batch_infer"]]).permute(0, 3, 1, 2)
    with torch.no_grad():
        pool = encoder_of(config, found)(pixels.float() / 255)
    np.testing.assert_allclose(pool, arrays["infer_pool"], rtol=0, atol=BOUND)


def encoder_alone(facts: dict[str, Any], **weights: Any) -> Wanted:
    encoder = encoder_params(facts["depth"], sk=facts["sk_ratio"] > 0)
    return wish(encoder, head_layers=0, classes=None, **weights)


# ------------------------------------------------------------------------------------------------- official checkpoints


def test_the_variables_of_these_tests_are_the_official_ones(shared: Path) -> None:
    for key in ("r18_w1_odd", "r18_cifar_w1", "r50_w1_sk0", "r50_w1_sk", "r50_w2_sk"):
        facts, _ = golden(shared / "golden", f"resnet_{key}")
        stem = "cifar" if facts["cifar_stem"] else "imagenet"
        config = encoder_params(facts["depth"], width=facts["width_multiplier"], sk=facts["sk_ratio"] > 0, stem=stem)
        ours = variables(config, None, None)
        assert [(row["role"], row["shape"], row["kind"]) for row in ours] == [
            (row["role"], row["shape"], row["kind"]) for row in facts["variables"]
        ]


def test_golden_resnet18(tmp_path: Path) -> None:
    facts, arrays = golden(GOLDEN, "resnet_r18_w1_odd")
    check_pool(encoder_alone(facts), checkpoint(tmp_path / "m", facts["variables"], facts["seed"]), facts, arrays)


@pytest.mark.parametrize("key", ["r50_w1_sk0", "r50_w1_sk"])
def test_golden_resnet50(key: str, tmp_path: Path, shared: Path) -> None:
    facts, arrays = golden(shared / "golden", f"resnet_{key}")
    check_pool(encoder_alone(facts), checkpoint(tmp_path / "m", facts["variables"], facts["seed"]), facts, arrays)


@pytest.mark.parametrize("layout", ["tensorflow", "separius"])
@pytest.mark.parametrize("layers", [2, 3, 4])
def test_golden_heads(layers: int, layout: str, tmp_path: Path) -> None:
    """On the smallest encoder that has as many features."""
    facts = next(f for f in json.loads((GOLDEN / "projection_head.json").read_text()) if f["num_proj_layers"] == layers)
    arrays = np.load(GOLDEN / "projection_head.npz")
    head = HeadConfig(layers=layers, width=1, out_dim=128, last_beta=False)
    encoder = narrow(50)
    rows = [*variables(encoder, None), *facts["variables"]]
    if layout == "tensorflow":
        path = checkpoint(tmp_path / "m", rows, facts["seed"])
    else:
        path = tmp_path / "m.pth"
        torch.save(separius(rows, facts["seed"]), path)
    found, _ = tensors(wish(encoder, head, layout=layout), path)
    ours = ProjectionHead(64, head, encoder).eval()
    ours.load_state_dict({name.removeprefix("head."): t for name, t in found.items() if name.startswith("head.")})
    with torch.no_grad():
        outputs = ours(torch.tensor(arrays["x"]))
    np.testing.assert_allclose(outputs[-1], arrays[f"L{layers}_z_infer"], rtol=0, atol=HEADS_BOUND)
    np.testing.assert_allclose(outputs[1], arrays[f"L{layers}_sel1_ft_infer"], rtol=0, atol=HEADS_BOUND)


def check_equal(found: dict[str, Tensor], rows: Variables, seed: int = SEED) -> None:
    expected = {tensor_name(row["role"]): to_torch(filled(row, seed)).float() for row in rows}
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        assert torch.equal(tensor, expected[name].reshape(tensor.shape)), name


NETWORKS = [narrow(18), narrow(34), narrow(50), narrow(50, sk=True), narrow(101, sk=True), narrow(18, stem="cifar")]
NAMES = [f"{n.depth}{'sk' * n.sk}{n.stem}" for n in NETWORKS]


@pytest.mark.parametrize("encoder", NETWORKS, ids=NAMES)
def test_every_number_of_a_checkpoint_has_its_place(encoder: Any, tmp_path: Path) -> None:
    rows = variables(encoder)
    found, told = tensors(wish(encoder, train_step=250228), checkpoint(tmp_path / "m", rows))
    check_equal(found, rows)
    assert "are read outside of ema_model/ (the moving averages); left aside: 'base_model/batch_normalization/beta/Mom" in told


def test_the_moving_averages(tmp_path: Path) -> None:
    """The classifier is that of the file: there is no other."""
    rows = variables(narrow(18))
    found, told = tensors(wish(narrow(18), network="momentum"), checkpoint(tmp_path / "m", rows))
    averages, trained = [row for row in rows if "supervised" not in row["role"]], rows[-2:]
    assert all("supervised" in row["role"] for row in trained)
    check_equal({name: t for name, t in found.items() if "classifier" not in name}, averages, SEED + 2)
    check_equal({name: t for name, t in found.items() if "classifier" in name}, trained)
    assert "are read in ema_model/ (the moving averages)" in told


def test_names_of_the_official_code_for_tensorflow_2(tmp_path: Path) -> None:
    """Layers are numbered over the whole model there."""
    facts, _ = golden(GOLDEN, "trajectory_finetune")
    rows = facts["variables"]
    write_bundle(tmp_path / "m", {row["name"].removesuffix(":0"): filled(row, SEED) for row in rows})
    head = HeadConfig(layers=3, width=1, out_dim=128, last_beta=False)
    encoder = encoder_params(18, stem="cifar")
    check_equal(tensors(wish(encoder, head), tmp_path / "m")[0], rows)


def test_less_than_a_file_holds(tmp_path: Path) -> None:
    """An encoder alone, or with the lower layers of its head."""
    rows = variables(narrow(18))
    path = checkpoint(tmp_path / "m", rows)
    encoder = [row for row in rows if row["role"].startswith(("stem", "block"))]
    check_equal(tensors(wish(narrow(18), head_layers=0, classes=None), path)[0], encoder)
    first = [*encoder, *(row for row in rows if ".layer0." in row["role"])]
    check_equal(tensors(wish(narrow(18), head_layers=1, classes=None), path)[0], first)


# ------------------------------------------------------------------------------------------------- conversions to PyTorch


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before-1.6"])
@pytest.mark.parametrize("encoder", [narrow(50), narrow(50, sk=True), narrow(152, sk=True)], ids=["50", "50sk", "152sk"])
def test_every_number_of_separius_files_has_its_place(encoder: Any, zipped: bool, tmp_path: Path) -> None:
    rows = variables(encoder)
    torch.save(separius(rows), tmp_path / "m.pth", _use_new_zipfile_serialization=zipped)
    found, told = tensors(wish(encoder, layout="separius"), tmp_path / "m.pth")
    check_equal(found, rows)
    assert "left aside: 'resnet.net.0.1.0.num_batches_tracked'" in told


@pytest.mark.parametrize("key", ["r50_w1_sk0", "r50_w1_sk"])
def test_golden_resnet50_of_separius(key: str, tmp_path: Path, shared: Path) -> None:
    facts, arrays = golden(shared / "golden", f"resnet_{key}")
    torch.save(separius(facts["variables"], facts["seed"]), tmp_path / "m.pth")
    check_pool(encoder_alone(facts, layout="separius"), tmp_path / "m.pth", facts, arrays)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_torchvision(suffix: str, tmp_path: Path) -> None:
    """The logits of torchvision's own module, whose images are standardised; timm's resnet50 has the same names."""
    torch.manual_seed(0)
    theirs = torchvision.models.resnet50(weights=None, num_classes=7)
    for name, tensor in theirs.state_dict().items():
        if "running_var" in name or ("bn" in name and name.endswith("weight")):
            tensor.copy_(0.5 + torch.rand_like(tensor))
        elif "running_mean" in name:
            tensor.copy_(torch.randn_like(tensor) / 10)
    path = tmp_path / f"resnet50{suffix}"
    if suffix == ".pth":
        torch.save(theirs.state_dict(), path)
    else:
        save_file(theirs.state_dict(), path)
    encoder = replace(encoder_params(50, stem="standardised"), max_pool="torchvision")
    config = wish(encoder, layout="torchvision", head_layers=0, classes=7)
    found, _ = tensors(config, path)
    classifier = Classifier(2048, 7)
    classifier.load_state_dict({name.removeprefix("classifier."): t for name, t in found.items() if "classifier" in name})
    images = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        standardised = torchvision.transforms.functional.normalize(images, list(MEAN), list(DEVIATION))
        wanted = theirs.eval()(standardised)
        ours = classifier(encoder_of(config, found)(images))
    torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-5 * float(wanted.abs().max()))
