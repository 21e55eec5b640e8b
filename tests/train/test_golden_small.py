"""More of the official code's numbers: two replicas, central crops, blur of an oblong image, convolutions, first gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simclr_spec.core.fields import build
from simclr_spec.stages.finetune import FinetuneConfig
from simclr_spec.stages.pretrain import PretrainConfig
from simclr_spec.store.layout import Store
from simclr_spec.train.distributed import gather
from simclr_spec.train.losses import strips
from simclr_spec.train.losses.nt_xent import nt_xent
from simclr_spec.train.model.encoder import ConvNorm
from simclr_spec.train.stage import Stage, named
from simclr_spec.train.stages.finetune import Finetune
from simclr_spec.train.stages.pretrain import Pretrain
from simclr_spec.train.views import colour, crop
from tests.places import GOLDEN
from tests.steps import finished, step
from tests.train.golden_fill import encoder_params, fill, tensor_name, to_torch
from tests.train.ranks import Counter, in_processes
from tests.train.test_trajectories import OFFICIAL, batches, load, pretrain_config

# ---------------------------------------------------------------- NT-Xent over two replicas


def replica(rank: int, world: int, counter: Counter) -> dict[str, Any]:
    """One replica's loss and gradient, its strips kept and formed twice; its logits and the places of its positives."""
    golden, found = np.load(GOLDEN / "ntxent_two_replicas.npz"), dict[str, Any]()
    temperature, rows = float(golden["temperature"]), torch.tensor(golden[f"z_replica{rank}"]).double()
    for kept in (strips.KEPT_BYTES, 0):
        strips.KEPT_BYTES, strips.STRIP = kept, 3
        z = rows.clone().requires_grad_()
        loss, accuracy = nt_xent(z, temperature)
        loss.backward()  # type: ignore[no-untyped-call]
        assert z.grad is not None
        found[f"kept {kept > 0}"] = loss.item(), accuracy.item(), z.grad
    u, n = strips.normalised(rows, temperature)[0], len(rows) // 2
    everyone = strips.by_view(gather(u), world)
    found["logits"] = u[:n] @ everyone[n * world :].T / temperature
    row_strips = strips.row_strips(n, rank * n, n * world)
    found["positives"] = [
        other + i for rows_, _, other in row_strips if rows_.start < n for i in range(rows_.stop - rows_.start)
    ]
    return found


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return in_processes(2, replica, tmp_path_factory.mktemp("replicas") / "meeting")


@pytest.mark.parametrize("kept", [True, False])
def test_two_ranks_are_two_official_replicas(replicas: list[dict[str, Any]], kept: bool) -> None:
    golden = np.load(GOLDEN / "ntxent_two_replicas.npz")
    u = F.normalize(torch.tensor(golden["z_all"]).double())
    right = (u[:8] @ u[8:].T).argmax(1) == torch.arange(8)
    for rank, found in enumerate(replicas):
        loss, accuracy, gradient = found[f"kept {kept}"]
        assert loss == pytest.approx(golden["loss_single"].item(), rel=1e-6)
        assert accuracy == pytest.approx(right.double().mean().item())
        # Of the mean over two replicas theirs is the gradient, ours twice that: parameters' gradients are averaged later.
        expected = golden[f"grad_replica{rank}"]
        np.testing.assert_allclose(gradient / 2, expected, rtol=0, atol=1e-6 * abs(expected).max())


def test_the_second_rank_compares_with_both_ranks_rows(replicas: list[dict[str, Any]]) -> None:
    golden = np.load(GOLDEN / "ntxent_two_replicas.npz")
    np.testing.assert_allclose(replicas[1]["logits"], golden["logits_ab_replica1"], rtol=0, atol=1e-6)
    # The official columns are view 2, then view 1; ours view 1, then view 2.
    assert (np.array(replicas[1]["positives"]) - 8).tolist() == golden["labels_replica1"].argmax(1).tolist()


# ---------------------------------------------------------------- evaluation crops and blur


@pytest.mark.parametrize("size", [32, 56])
@pytest.mark.parametrize("image", range(3))
def test_central_crop_and_resize(image: int, size: int) -> None:
    """Before the clip and after it. To 32 pixels as well, where an evaluation of ours (and theirs) would crop nothing."""
    arrays, crops = np.load(GOLDEN / "augment.npz"), np.load(GOLDEN / "centre_crops.npz")
    pixels = torch.from_numpy(arrays[f"img{image}_uint8"]).permute(2, 0, 1)[None].contiguous()
    box = crop.centre_boxes(torch.tensor([pixels.shape[2]]), torch.tensor([pixels.shape[3]]), 0.875)
    found = crop.resized(pixels, box, size, "tensorflow")[0].permute(1, 2, 0)
    name = f"{size}x{size}_img{image}"
    np.testing.assert_allclose(found, crops[f"center_crop_{name}"], rtol=0, atol=2e-6)
    np.testing.assert_allclose(found.clamp(0, 1), arrays[f"eval_{name}"], rtol=0, atol=2e-6)


def test_blur_of_an_oblong_image(shared: Path) -> None:
    """Ours blurs squares: rows of zeros below the image are what the official padding puts there."""
    arrays = np.load(shared / "golden" / "augment.npz")
    image = torch.from_numpy(arrays["img0_uint8"]).permute(2, 0, 1)[None].float() / 255
    height, width = image.shape[2:]
    names = [name for name in arrays.files if name.startswith("blur_") and name.endswith("img0")]
    assert len(names) == 10
    for name in names:
        _, kernel, sigma, _ = name.split("_")
        square = F.pad(image, (0, 0, 0, width - height))
        found = colour.blur(square, torch.tensor([float(sigma[1:])]), int(kernel[1:]))[0, :, :height]
        np.testing.assert_allclose(found.permute(1, 2, 0), arrays[name], rtol=0, atol=2e-6)


# ---------------------------------------------------------------- convolutions


def test_padding_of_convolutions() -> None:
    arrays = np.load(GOLDEN / "pooling_probes.npz")
    names = [name for name in arrays.files if name.startswith("conv") and "kernel" not in name]
    assert len(names) == 24
    for name in names:
        layer, stride, kind, size = name.split("_")
        x = torch.tensor(arrays[f"{kind}_{size}"]).permute(0, 3, 1, 2)
        kernel = to_torch(arrays[f"{layer}_kernel_hwio_cin{x.shape[1]}"]).float()
        conv = ConvNorm(x.shape[1], len(kernel), int(layer[4:]), int(stride[1:]), encoder_params(18)).conv
        with torch.no_grad():
            conv.weight.copy_(kernel)
            found = conv(x).permute(0, 2, 3, 1)
        np.testing.assert_allclose(found, arrays[name], rtol=1e-6, atol=1e-6, err_msg=name)


# ---------------------------------------------------------------- the first train step's gradients


def pretrain(facts: dict[str, Any]) -> Pretrain:
    return Pretrain(pretrain_config(facts, linear_head=True), {})


def finetune(facts: dict[str, Any], folder: Path) -> Finetune:
    source = Pretrain(build(PretrainConfig, step("pretrain", **OFFICIAL)), {})
    parent = finished(Store(folder), "pretrain", named(encoder=source.encoder, head=source.head), **OFFICIAL)
    values = step("finetune", **OFFICIAL, from_layer=facts["flags"]["ft_proj_selector"])
    return Finetune(build(FinetuneConfig, values), {"from": parent})


@pytest.mark.parametrize("key", ["pretrain_with_linear_eval", "finetune"])
def test_gradients_and_outputs_of_the_first_train_step(key: str, tmp_path: Path) -> None:
    facts, arrays = load(GOLDEN, key)
    golden = np.load(GOLDEN / "step0_gradients.npz")
    stage: Stage[Any] = (pretrain(facts) if key.startswith("pretrain") else finetune(facts, tmp_path)).double()
    outputs = outputs_of(stage)
    fill({name: stage.get_submodule(name) for name in ("encoder", "head", "classifier")}, facts["variables"], facts["seed"])
    stage.train()
    stage.measure(batches(arrays)[0])[0].backward()  # type: ignore[no-untyped-call]

    gradients = {name: p.grad for name, p in stage.named_parameters() if p.grad is not None}
    weight = stage.get_parameter("classifier.weight")
    gradients["classifier.weight"] = gradients["classifier.weight"] + stage.config.weight_decay * weight.detach()
    norms = golden[f"{key}/float64_step0_gradient_l2"]
    assert {tensor_name(facts["variables"][i]["role"]) for i in (~np.isnan(norms)).nonzero()[0]} == gradients.keys()
    compared = 0
    for index, variable in enumerate(facts["variables"]):
        if (gradient := gradients.get(tensor_name(variable["role"]))) is not None:
            assert gradient.norm().item() == pytest.approx(norms[index], rel=1e-9)
            if (name := f"{key}/float64_step0_grad_var{index}") in golden.files:
                expected = to_torch(golden[name]).reshape(gradient.shape)
                torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-7 * expected.abs().max().item())
                compared += 1
    assert compared == sum(name.startswith(f"{key}/float64_step0_grad_var") for name in golden.files) >= 13

    assert f"{key}/step0_supervised_logits" in golden.files
    for name, found in outputs.items():
        if f"{key}/{name}" in golden.files:  # float32, and BN of few samples multiplies its noise
            np.testing.assert_allclose(found, golden[f"{key}/{name}"], rtol=0, atol=2e-3)


def outputs_of(stage: nn.Module) -> dict[str, Tensor]:
    """What the head and the classifier give, once the network runs forward."""
    found: dict[str, Tensor] = {}
    classifier, head = stage.get_submodule("classifier"), stage.get_submodule("head")
    classifier.register_forward_hook(lambda _m, _i, out: found.update(step0_supervised_logits=out.detach()))
    head.register_forward_hook(lambda _m, _i, out: found.update(step0_projection_output=out[-1].detach()))
    return found
