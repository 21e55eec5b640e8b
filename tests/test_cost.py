"""Closed forms against the official counts, torch's flop counter and the networks themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simclr_spec import params
from simclr_spec.errors import SpecError
from simclr_spec.plan import compile, network
from simclr_spec.plan.cost import costs, read_machine
from simclr_spec.store import Store
from simclr_spec.survey import survey
from tests.finished import FEW, finish

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


def test_parameters_of_the_13_encoders_and_9_heads_exactly(golden: Path) -> None:
    counts = json.loads((golden / "param_counts.json").read_text())
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

    from simclr_spec.train.encoder import Encoder

    config = {**PAPER, **REST, **shape}
    ours = network.encoder(config, size)
    encoder = Encoder(params.build(params.Encoder, config))
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

    from simclr_spec.train.encoder import Encoder

    ours = network.encoder(config, 224)
    with torch.device("meta"):
        encoder = Encoder(params.build(params.Encoder, config)).eval()  # fewer operations in BN, the same FLOPs
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


def test_the_bill_of_table1_without_memory_meets_the_model_of_the_h200() -> None:
    """4,299 hours of pretraining, 90 of fine-tuning, 242 of supervision: an independent calculation, without heads."""
    plan = compile(["table1"], sets=["memory.enabled=false"])
    priced = costs(plan, read_machine("h200"))
    hours = {kind: sum(priced[s.fingerprint].seconds for s in plan.steps if s.kind == kind) / 3600 for kind in params.KINDS}
    assert hours["pretrain"] == pytest.approx(4299, rel=0.01)
    assert hours["finetune"] == pytest.approx(90, rel=0.02)
    assert hours["supervised"] == pytest.approx(242, rel=0.01)
    assert hours["linear_eval"] == pytest.approx(87, rel=0.1)


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


def test_a_batch_of_4096_needs_several_gpus_and_a_micro_batch_one() -> None:
    def machines(*sets: str) -> list[int]:
        plan = compile(["table1"], sets=sets)
        priced = costs(plan, read_machine("h200"))
        return [priced[s.fingerprint].machines for s in plan.steps if s.kind == "pretrain"]

    assert min(machines()) == 4
    assert max(machines("pretrain.micro_batch=128")) == 1


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_parameters_and_flops_of_heads_and_classifiers(kept: int) -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from simclr_spec.train.heads import Classifier, ProjectionHead

    config = {"layers": 3, "width": 2, "out_dim": 16, "last_beta": False}
    encoder = params.build(params.Encoder, {**PAPER, **REST, "depth": 18, "width": 1, "sk": False})
    head = ProjectionHead(32, params.build(params.Head, config), encoder)
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


def test_costs_are_corrected_by_steps_that_ran_on_such_a_machine_only(tmp_path: Path) -> None:
    """`finish` takes half an hour on two threads of a CPU."""
    store, pretraining = Store(tmp_path), [step for step in compile([FEW]).steps if step.kind == "pretrain"]

    def seconds(machine: str) -> float:
        view = survey([FEW], store=str(tmp_path), machine=machine)
        return view.seconds[pretraining[0].fingerprint]

    told = {machine: seconds(machine) for machine in ("cpu", "h100", "h200")}
    finish(store, pretraining[0], {"top1": 1.0})
    assert seconds("cpu") == pytest.approx(2 * 1800)
    assert (seconds("h100"), seconds("h200")) == (told["h100"], told["h200"])
    finish(store, pretraining[1], {"top1": 1.0}, accelerator="cuda", device="NVIDIA H100 80GB HBM3", world_size=8)
    view = survey([FEW], store=str(tmp_path), machine="h100")
    assert view.seconds[pretraining[1].fingerprint] == pytest.approx(8 * 1800)
    assert seconds("cpu") == pytest.approx(2 * 1800)
    assert seconds("h200") == told["h200"]


def test_costs_are_corrected_by_other_finished_steps_of_the_store_where_the_plan_has_none(tmp_path: Path) -> None:
    before = survey([FEW], store=str(tmp_path), machine="cpu")
    changed = compile([FEW], sets=["pretrain.temperature=0.3", "distill.temperature=2"])
    for step in changed.steps:
        if step.kind in ("pretrain", "distill"):
            finish(Store(tmp_path), step, {"top1": 1.0})
    after = survey([FEW], store=str(tmp_path), machine="cpu")
    for step in before.plan.steps:
        ratio = after.seconds[step.fingerprint] / before.seconds[step.fingerprint]
        assert (ratio > 50) == (step.kind == "pretrain")


@pytest.mark.parametrize("change", ["epochs=1e300", "encoder.sk_ratio=1e300", "epochs=1e308"])
def test_numbers_beyond_all_measure_are_faults(change: str) -> None:
    with pytest.raises(SpecError, match="must be at most"):
        survey(["table1"], sets=[change])
