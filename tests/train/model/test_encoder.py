"""The encoder against the official network's golden numbers, in double precision."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from simclr_spec.core.errors import UsageError
from simclr_spec.stages.network import encoder as closed_form
from simclr_spec.train.model.encoder import Encoder, SelectiveKernel, average_pool, max_pool
from tests.places import GOLDEN
from tests.train.golden_fill import encoder_params, fill, tensor_name, to_torch


def load(folder: Path, key: str) -> tuple[dict[str, Any], Any]:
    return json.loads((folder / f"{key}.json").read_text()), np.load(folder / f"{key}.npz")


def golden_encoder(facts: dict[str, Any]) -> Encoder:
    stem = "cifar" if facts["cifar_stem"] else "imagenet"
    encoder = Encoder(
        encoder_params(facts["depth"], width=facts["width_multiplier"], sk=facts["sk_ratio"] > 0, stem=stem)
    ).double()
    fill({"encoder": encoder}, facts["variables"], facts["seed"])
    return encoder


def images(arrays: Any, count: int) -> torch.Tensor:
    pixels = torch.tensor(arrays["x_uint8"][:count]).permute(0, 3, 1, 2)
    return (pixels.float() / 255).double()


def check(folder: Path, key: str) -> None:
    facts, arrays = load(folder, key)
    encoder = golden_encoder(facts)
    with torch.no_grad():
        inferred = encoder.eval()(images(arrays, facts["batch_infer"]))
        trained = encoder.train()(images(arrays, facts["batch_train"]))
    np.testing.assert_allclose(inferred, arrays["infer_pool_float64"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(trained, arrays["train_pool_float64"], rtol=0, atol=1e-9)
    state = {f"encoder.{name}": t for name, t in encoder.state_dict().items()}
    for which, bound in (("first_bn", 1e-6), ("last_created_bn", 3e-4 if facts["sk_ratio"] > 0 else 1e-4)):
        mean = facts[f"{which}_moving_mean_index"]
        for index in (mean, mean + 1):
            ours = state[tensor_name(facts["variables"][index]["role"])]
            np.testing.assert_allclose(ours, arrays[f"after_train_var{index}"], rtol=0, atol=bound)


def test_odd_images_in_the_imagenet_stem() -> None:
    check(GOLDEN, "resnet_r18_w1_odd")


@pytest.mark.parametrize("key", ["r18_cifar_w1", "r50_w1_sk", "r50_w1_sk0", "r50_w2_sk"])
def test_official_networks(key: str, shared: Path) -> None:
    check(shared / "golden", f"resnet_{key}")


def test_feature_maps_of_the_first_sample() -> None:
    facts, arrays = load(GOLDEN, "resnet_r18_w1_odd")
    encoder = golden_encoder(facts).eval()
    maps: dict[str, torch.Tensor] = {}
    for name in ("group1", "group2", "group3", "group4"):
        encoder.get_submodule(name).register_forward_hook(lambda _m, _i, out, name=name: maps.update({name: out}))
    with torch.no_grad():
        encoder(images(arrays, facts["batch_infer"]))
    for name, found in maps.items():
        np.testing.assert_allclose(found[0].permute(1, 2, 0), arrays[f"infer_block_{name}"].squeeze(0), rtol=0, atol=2e-5)


def test_pooling_laws() -> None:
    arrays = np.load(GOLDEN / "pooling_probes.npz")
    sizes = [name.removeprefix("rand_") for name in arrays.files if name.startswith("rand_")]
    assert sizes
    for size in sizes:
        for kind in ("ramp", "rand"):
            x = torch.tensor(arrays[f"{kind}_{size}"]).permute(0, 3, 1, 2)
            for ours, golden in (
                (max_pool(x, "tensorflow"), f"maxpool3_s2_same_{kind}_{size}"),
                (average_pool(x, 1), f"avgpool2_s1_same_{kind}_{size}"),
                (average_pool(x, 2), f"fixedpad2_avgpool2_s2_valid_{kind}_{size}"),
            ):
                np.testing.assert_allclose(ours.permute(0, 2, 3, 1), arrays[golden], rtol=0, atol=1e-6, err_msg=golden)


def test_torchvision_max_pool_differs_on_even_sizes() -> None:
    x = torch.arange(36.0).view(1, 1, 6, 6).neg()
    assert not torch.equal(max_pool(x, "torchvision"), max_pool(x, "tensorflow"))
    torch.testing.assert_close(max_pool(x, "torchvision"), torch.nn.MaxPool2d(3, 2, 1)(x))


def test_parameter_counts_of_the_published_encoders() -> None:
    rows = json.loads((GOLDEN / "param_counts.json").read_text())["encoders_up_to_final_average_pool"]
    for row in rows:
        with torch.device("meta"):
            encoder = Encoder(encoder_params(row["depth"], width=row["width"], sk=row["sk_ratio"] > 0))
        assert sum(p.numel() for p in encoder.parameters()) == row["trainable"]
        assert sum(b.numel() for b in encoder.buffers()) == row["non_trainable"]
        assert encoder.features == 2048 * row["width"]
    assert len(rows) >= 13


# As torchvision counts them without classifier, and for 200 the sum over its blocks; a projection shortcut opens the first
# group of basic blocks too (64 x 64 + 128 more).
TRAINABLE = {18: 11_180_736, 34: 21_288_896, 101: 42_500_160, 152: 58_143_808, 200: 62_624_832}


@pytest.mark.parametrize("depth", TRAINABLE)
def test_parameter_counts_of_the_other_depths_by_construction_and_in_closed_form(depth: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in Encoder(encoder_params(depth)).parameters()) == TRAINABLE[depth]
    for width, sk, stem in itertools.product((1, 2), (False, True) if depth > 50 else (False,), ("imagenet", "cifar")):
        config = encoder_params(depth, width=width, sk=sk, stem=stem)
        with torch.device("meta"):
            built = Encoder(config)
        counted = closed_form(vars(config), 224)
        assert sum(p.numel() for p in built.parameters()) == counted.trainable
        assert sum(t.numel() for t in built.state_dict().values()) == counted.total
        assert built.features == counted.features


@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152, 200])
def test_every_depth_runs_forward(depth: int, stem: str) -> None:
    encoder = Encoder(encoder_params(depth, base_width=2, sk=depth > 50, stem=stem)).eval()
    sides = []
    encoder.group4.register_forward_hook(lambda _m, _i, out: sides.append(tuple(out.shape[2:])))
    with torch.no_grad():
        features = encoder(torch.rand(2, 3, 37, 33))
    assert features.shape == (2, 8 * 2 * (1 if depth < 50 else 4))
    assert sides == ([(5, 5)] if stem == "cifar" else [(2, 2)])
    assert features.isfinite().all()


@pytest.mark.parametrize("depth", [18, 50])
def test_channels_last_and_small_widths_change_nothing(depth: int) -> None:
    encoder = Encoder(encoder_params(depth, base_width=8, sk=depth == 50)).double()
    x = torch.rand(4, 3, 32, 32, dtype=torch.float64)
    plain = encoder(x)
    last = encoder.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
    assert plain.shape == (4, encoder.features)
    torch.testing.assert_close(last, plain, rtol=0, atol=1e-10)


def test_selective_kernels_need_bottlenecks() -> None:
    with pytest.raises(UsageError, match="SK needs bottleneck blocks; depth 34 has none"):
        Encoder(encoder_params(34, sk=True))


def test_initial_weights_follow_the_declared_law() -> None:
    torch.manual_seed(0)
    fan_in = 512 * 9
    state = Encoder(encoder_params(50)).state_dict()
    weight = state["group4.1.layers.1.conv.weight"]
    assert weight.var().item() * fan_in == pytest.approx(1.0, rel=0.01)
    assert weight.abs().max().item() <= 2.0001 * (1 / fan_in) ** 0.5 / 0.8796
    assert state["group1.0.layers.2.norm.weight"].count_nonzero() == 0
    he = Encoder(replace(encoder_params(18), init="he")).state_dict()["group4.1.layers.1.conv.weight"]
    assert he.var().item() * fan_in == pytest.approx(2.0, rel=0.01)


@pytest.mark.parametrize(("init", "variance"), [("tensorflow", lambda i, o: 1 / i), ("he", lambda i, o: 2 / o)])
@pytest.mark.parametrize("layer", ["squeeze", "expand"])
def test_a_selective_kernels_gate_starts_by_the_law_of_convolutions(
    layer: str, init: str, variance: Callable[[int, int], float]
) -> None:
    """A normal (TensorFlow's is cut at 2 sigma), of the fan of a 1x1 convolution."""
    torch.manual_seed(1)
    config = replace(encoder_params(50, base_width=16, sk=True), init=init)  # type: ignore[arg-type]
    gates = [module for module in Encoder(config).modules() if isinstance(module, SelectiveKernel)]
    assert len(gates) == 16
    drawn = []
    for gate in gates:
        weight = gate.get_parameter(f"{layer}.weight").detach()
        drawn.append(weight.flatten() / variance(weight.shape[1], weight.shape[0]) ** 0.5)
    w = torch.cat(drawn)
    n = len(w)
    assert abs(w.mean().item()) < 4 / n**0.5
    assert w.var().item() == pytest.approx(1.0, abs=6 / n**0.5)
    sigma, within, farthest = (1 / 0.87962566, 0.6827 / 0.9545, 2.0) if init == "tensorflow" else (1.0, 0.6827, 6.0)
    assert (w.abs() < sigma).double().mean().item() == pytest.approx(within, abs=2 / n**0.5)
    assert min(farthest, 3.5) * 0.99 < w.abs().max().item() / sigma <= farthest * 1.0001


def test_golden_kernels_are_laid_out_as_ours() -> None:
    assert to_torch(np.zeros((3, 5, 7, 11))).shape == (11, 7, 3, 5)
