"""Closed forms against the official counts, torch's flop counter and the networks themselves."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from simclr_spec.core.fields import build
from simclr_spec.language.machine import read_machine
from simclr_spec.plan import compile
from simclr_spec.plan.cost import Cost, cost, costs, work_of
from simclr_spec.stages import network
from simclr_spec.stages.common import EncoderConfig, HeadConfig
from simclr_spec.stages.kind import Work
from simclr_spec.stages.kinds import KINDS
from tests.places import GOLDEN

PAPER = {"base_width": 64, "stem": "imagenet", "sk_ratio": 0.0625, "sk_min_width": 32, "stride": "3x3"}
REST = {
    "sk_dilation": 1,
    "shortcut_pool": "all",
    "bn_decay": 0.9,
    "bn_epsilon": 1e-5,
    "bn_variance": "biased",
    "max_pool": "tensorflow",
    "init": "he",
}


def test_parameters_of_the_13_encoders_and_9_heads_exactly() -> None:
    counts = json.loads((GOLDEN / "param_counts.json").read_text())
    assert (len(counts["encoders_up_to_final_average_pool"]), len(counts["projection_heads"])) == (13, 9)
    for row in counts["encoders_up_to_final_average_pool"]:
        ours = network.encoder({**PAPER, "depth": row["depth"], "width": row["width"], "sk": row["sk_ratio"] > 0}, 224)
        assert (ours.trainable, ours.total, ours.features) == (row["trainable"], row["total"], row["feature_dim"])
    for row in counts["projection_heads"]:
        config = {"width": 1, "layers": row["num_proj_layers"], "out_dim": row["proj_out_dim"], "last_beta": False}
        head = network.head(row["input_dim"], config)
        assert (head.trainable, head.total - head.trainable) == (row["trainable"], row["non_trainable"])


def test_sk_on_basic_blocks_would_bring_the_stem_alone() -> None:
    """As in the official TF2 code; a plan refuses it (docs/fidelity.md, row 30)."""
    plain, sk = (network.encoder({**PAPER, "depth": 18, "width": 1, "sk": sk}, 224).trainable for sk in (False, True))
    assert (plain, sk) == (11_180_736, 11_199_968)
    stem = sum(inputs * outputs * 9 + 2 * outputs for inputs, outputs in ((3, 32), (32, 32), (32, 64)))
    assert sk - plain == stem - (3 * 64 * 49 + 2 * 64)


CASES: list[tuple[dict[str, Any], int]] = [
    ({"depth": 18, "width": 1, "sk": False, "base_width": 8, "stem": "cifar"}, 8),
    ({"depth": 34, "width": 2, "sk": False, "base_width": 4, "stem": "imagenet"}, 63),
    ({"depth": 50, "width": 1, "sk": False, "base_width": 16, "stem": "imagenet"}, 96),
    ({"depth": 50, "width": 1, "sk": True, "base_width": 16, "stem": "imagenet"}, 75),
    ({"depth": 101, "width": 2, "sk": True, "base_width": 8, "stem": "cifar"}, 17),
    ({"depth": 50, "width": 1, "sk": False, "base_width": 8, "stem": "imagenet", "stride": "1x1"}, 63),
    ({"depth": 50, "width": 1, "sk": True, "base_width": 8, "stem": "cifar", "stride": "1x1", "sk_dilation": 2}, 32),
]


@pytest.mark.parametrize(("shape", "size"), CASES)
def test_parameters_and_flops_are_those_of_the_network(shape: dict[str, Any], size: int) -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from simclr_spec.train.model.encoder import Encoder

    config = {**PAPER, **REST, **shape}
    ours = network.encoder(config, size)
    encoder = Encoder(build(EncoderConfig, config))
    assert ours.trainable == sum(p.numel() for p in encoder.parameters())
    assert ours.features == encoder.features
    with FlopCounterMode(display=False) as forward:
        features = encoder(torch.rand(2, 3, size, size))
    assert forward.get_total_flops() / 2 == pytest.approx(ours.forward, rel=1e-3)
    with FlopCounterMode(display=False) as backward:
        features.sum().backward()
    assert backward.get_total_flops() / 2 == pytest.approx(ours.backward, rel=1e-3)


TABLE1 = [step.params["encoder"] for step in compile(["table1"]).steps if step.kind == "pretrain"]


@pytest.mark.parametrize("config", TABLE1, ids=lambda config: f"r{config['depth']}-{config['width']}x{'-sk' * config['sk']}")
def test_flops_of_the_papers_encoders_at_224_pixels(config: dict[str, Any]) -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from simclr_spec.train.model.encoder import Encoder

    ours = network.encoder(config, 224)
    with torch.device("meta"):
        encoder = Encoder(build(EncoderConfig, config)).eval()  # fewer operations in BN, the same FLOPs
        images = torch.empty(2, 3, 224, 224)
    with FlopCounterMode(display=False) as forward:
        features = encoder(images)
    with FlopCounterMode(display=False) as backward:
        features.sum().backward()
    assert forward.get_total_flops() / 2 == pytest.approx(ours.forward, rel=1e-3)
    assert backward.get_total_flops() / 2 == pytest.approx(ours.backward, rel=1e-3)


def test_table1_has_13_encoders() -> None:
    assert len(TABLE1) == 13


def test_a_kept_head_of_no_layers_is_nothing() -> None:
    head = network.head(2048, {"width": 1, "layers": 3, "out_dim": 128}, 0)
    assert (head.features, head.trainable, head.forward) == (2048, 0, 0)


def test_linear_evaluation_on_a_layer_of_the_head_passes_it_forward_only() -> None:
    """One layer of 2048 x 2048 more for every image; the classifier on it is as large as on the encoder."""
    plan = compile(["table1"])
    step = next(s for s in plan.steps if s.kind == "linear_eval" and s.label.startswith("r50-1x-imagenet"))
    below, above = (work_of(plan, step, from_layer=layer) for layer in (0, 1))
    assert above.flops - below.flops == above.train_steps * 4096 * 2 * 2048 * 2048
    assert (above.parameters, above.weights) == (below.parameters, below.weights) == (2049_000, 4 * 2049_000)


def _hours(machine: str, *sets: str) -> dict[str, float]:
    plan = compile(["table1"], sets=["memory.enabled=false", *sets])
    priced = costs(plan, read_machine(machine))
    return {kind: sum(priced[s.fingerprint].seconds for s in plan.steps if s.kind == kind) / 3600 for kind in KINDS}


def test_the_bill_of_table1_in_bf16_without_memory_meets_the_model_of_the_h200() -> None:
    """4,299 hours of pretraining, 90 of fine-tuning, 242 of supervision: an independent calculation, without heads."""
    hours = _hours("h200", "precision=bf16")
    assert hours["pretrain"] == pytest.approx(4299, rel=0.01)
    assert hours["finetune"] == pytest.approx(90, rel=0.02)
    assert hours["supervised"] == pytest.approx(242, rel=0.01)
    assert hours["linear_eval"] == pytest.approx(87, rel=0.1)


COUNTED = {
    "r50-1x": (24.3, 11.1),
    "r50-1x-sk": (37.0, 13.3),
    "r50-2x": (96.2, 22.2),
    "r50-2x-sk": (148.1, 26.6),
    "r101-1x": (46.6, 16.2),
    "r101-1x-sk": (71.1, 19.3),
    "r101-2x": (185.3, 32.5),
    "r101-2x-sk": (284.3, 38.6),
    "r152-1x": (68.8, 22.6),
    "r152-1x-sk": (105.2, 26.7),
    "r152-2x": (274.4, 45.1),
    "r152-2x-sk": (420.6, 53.3),
    "r152-3x-sk": (946.3, 80.0),
}
"""GFLOP of a forward and a backward pass at 224 pixels, and millions of convolution outputs: counted by torch on other code."""


@pytest.mark.parametrize(
    ("machine", "peak", "bytes_per_second"), [("h200", 67e12, 4.0e12), ("h100", 67e12, 2.8e12), ("a100", 19.5e12, 1.7e12)]
)
def test_the_bill_of_table1_in_fp32_follows_from_the_data_sheets(machine: str, peak: float, bytes_per_second: float) -> None:
    """800 epochs of two views of 1,281,167 images at 65 % of the peak; an output moves as two of bf16 (28 B fused, else 38)."""
    views, moved = 2 * 800 * 1_281_167, 2 * (38 if machine == "a100" else 28)
    seconds = sum(
        views
        * (gigaflop * 1e9 / (0.65 * peak) + moved * outputs * 1e6 * (1.1 if name.endswith("sk") else 1) / bytes_per_second)
        for name, (gigaflop, outputs) in COUNTED.items()
    )
    assert _hours(machine)["pretrain"] == pytest.approx(seconds / 3600, rel=0.01)


def test_values_of_four_bytes_need_twice_the_memory_and_weights_the_same() -> None:
    """The network, its gradients and its momentum are float32 in both; ResNet-50 saves two values per convolution output."""
    plan = compile(["table1"])
    step = next(s for s in plan.steps if s.label.startswith("r50-1x-imagenet") and s.kind == "supervised")
    wide, narrow = (cost(work_of(plan, step, precision=precision), read_machine("h200")) for precision in ("fp32", "bf16"))
    weights = 4 * 4 * (23_508_032 + 53_120 + 2_049_000)
    assert (wide.memory - weights) == 2 * (narrow.memory - weights)
    assert wide.memory - weights == pytest.approx(4096 * 11.1e6 * 2 * 4, rel=0.01)


def test_recomputing_keeps_inputs_of_blocks_and_costs_a_forward_pass() -> None:
    """ResNet-50 at 224 pixels by hand: an input is one value where an output is two, and the first block is the largest."""
    plan, machine = compile(["table1"], sets=["memory.enabled=false"]), read_machine("h200")
    inputs = 64 * 56**2 + 3 * 256 * 56**2 + 4 * 512 * 28**2 + 6 * 1024 * 14**2 + 2 * 2048 * 7**2
    largest = 2 * 64 * 56**2 + 2 * 256 * 56**2
    for step in (s for s in plan.steps if s.label.startswith("r50-1x-imagenet")):
        work = work_of(plan, step)
        kept, again = (cost(work, machine, recompute=recompute) for recompute in (False, True))
        if step.kind == "linear_eval":
            assert again == kept
            continue
        views = 2 if step.kind == "pretrain" else 1
        batch = step.config.schedule(step.config.examples).batch
        assert again.memory - work.state == views * batch * (inputs // 2 + largest) * 8
        assert again.seconds / kept.seconds == pytest.approx(4 / 3, rel=0.01)
        assert again.flops - kept.flops == pytest.approx(views * work.train_steps * batch * 8.2e9, rel=0.01)


def test_train_steps_are_the_official_ones() -> None:
    plan = compile(["table1"])
    priced = costs(plan, read_machine("h200"))
    found = {
        (s.kind, s.coordinates.get("label_fraction")): priced[s.fingerprint].train_steps
        for s in plan.steps
        if s.kind != "linear_eval"
    }
    assert found == {
        ("pretrain", None): 250228,
        ("finetune", 0.01): 751,
        ("finetune", 0.1): 3754,
        ("finetune", 1.0): 37535,
        ("supervised", 1.0): 28151,
    }


def test_a_batch_of_4096_in_bf16_needs_several_gpus_and_a_micro_batch_one() -> None:
    def machines(*sets: str) -> list[int]:
        plan = compile(["table1"], sets=["precision=bf16", *sets])
        priced = costs(plan, read_machine("h200"))
        return [priced[s.fingerprint].machines for s in plan.steps if s.kind == "pretrain"]

    assert min(machines()) == 4
    assert max(machines("pretrain.micro_batch=128")) == 1


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_parameters_and_flops_of_heads_and_classifiers(kept: int) -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from simclr_spec.train.model.heads import Classifier, ProjectionHead

    config = {"layers": 3, "width": 2, "out_dim": 16, "last_beta": False}
    encoder = build(EncoderConfig, {**PAPER, **REST, "depth": 18, "width": 1, "sk": False})
    head = ProjectionHead(32, build(HeadConfig, config), encoder)
    ours = network.head(32, config, kept)
    last = network.classifier(ours.features, 10)
    features = torch.rand(4, 32, requires_grad=True)
    del head.layers[kept:]
    with FlopCounterMode(display=False) as forward:
        hidden = head(features)[-1]
    with FlopCounterMode(display=False) as backward:
        hidden.sum().backward()
    assert (ours.features, ours.trainable) == (hidden.shape[1], sum(p.numel() for p in head.parameters()))
    assert (forward.get_total_flops() / 4, backward.get_total_flops() / 4) == (ours.forward, ours.backward)
    classifier = Classifier(ours.features, 10)
    with FlopCounterMode(display=False) as forward:
        logits = classifier(hidden.detach().requires_grad_())
    with FlopCounterMode(display=False) as backward:
        logits.sum().backward()
    assert (forward.get_total_flops() / 4, backward.get_total_flops() / 4) == (last.forward, last.backward)
    assert sum(p.numel() for p in classifier.parameters()) == last.trainable


def test_devices_that_share_a_batch_share_its_activations_and_have_weights_each() -> None:
    price = Cost(parameters=1, train_steps=1, flops=1, seconds=1.0, memory=1000, state=200, machines=1, disk=1)
    assert [price.on_each(devices) for devices in (1, 2, 3, 8)] == [1000, 600, 467, 300]
    machine = replace(read_machine("cpu"), memory_gib=401 / 0.9 / 2**30)  # room for 401 bytes; an output has 8
    for state, outputs, machines in ((200, 100, 4), (200, 101, 8), (200, 25, 1), (0, 50, 1), (398, 1, 4), (402, 1, 0)):
        assert cost(Work(flops=1, state=state, saved=outputs), machine).machines == machines, (state, outputs)
