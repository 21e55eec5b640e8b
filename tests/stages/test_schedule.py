"""Schedules against the official class and the released checkpoints."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from simclr_spec.stages.kinds import KINDS
from simclr_spec.stages.schedule import Schedule, labelled_images, peak_learning_rate, train_steps, warmup_steps
from tests.places import GOLDEN
from tests.steps import step

CASES = {case["key"]: case for case in json.loads((GOLDEN / "lr_schedule.json").read_text())}


def schedule(examples: int, **changes: Any) -> Schedule:
    found: Schedule = KINDS["pretrain"].build(step("pretrain", train_steps=None) | changes).schedule(examples)
    return found


@pytest.mark.parametrize("key", list(CASES))
def test_schedule_is_the_official_one(key: str) -> None:
    case, arrays = CASES[key], np.load(GOLDEN / "lr_schedule.npz")
    ours = schedule(
        case["num_examples"],
        batch=case["train_batch_size"],
        learning_rate=case["learning_rate"],
        learning_rate_scaling=case["learning_rate_scaling"],
        epochs=case["train_epochs"],
        warmup=case["warmup_epochs"] / case["train_epochs"],
    )
    assert (ours.train_steps, ours.warmup_steps) == (case["total_train_steps"], case["warmup_steps"])
    assert ours.peak_learning_rate == pytest.approx(case["scaled_peak_lr"], rel=1e-12)
    rates = [ours.learning_rate(int(done)) for done in arrays[f"{key}_step"]]
    np.testing.assert_allclose(rates, arrays[f"{key}_lr_float64_check"], rtol=0, atol=1e-9 * case["scaled_peak_lr"])
    np.testing.assert_allclose(rates, arrays[f"{key}_lr"], rtol=0, atol=1e-6 * case["scaled_peak_lr"])


@pytest.mark.parametrize(
    ("examples", "epochs", "batch", "steps"),
    [
        (1281167, 800, 4096, 250228),
        (12811, 60, 1024, 751),
        (128116, 30, 1024, 3754),
        (1281167, 30, 1024, 37535),
        (1281167, 90, 4096, 28151),
    ],
)
def test_train_steps_of_the_released_checkpoints(examples: int, epochs: int, batch: int, steps: int) -> None:
    assert train_steps(examples, epochs, batch) == steps


def test_warmups_of_the_paper() -> None:
    assert warmup_steps(1281167, 800, 0.05, 4096) == 12511
    assert warmup_steps(1281167, 400, 0.05, 4096) == 6255


def test_a_fixed_number_of_train_steps_scales_the_warm_up() -> None:
    fixed = {"train_steps": 100, "batch": 10, "learning_rate_scaling": "none"}
    ours = schedule(50, **fixed, warmup=0.1)
    rates = [ours.learning_rate(done) for done in range(101)]
    assert rates[0] == 0
    assert rates[5] == pytest.approx(0.05)
    assert max(rates) == rates[10] == pytest.approx(0.1)
    assert rates[100] == pytest.approx(0)
    # The official warm-up does not know of train_steps: 3 epochs of 50 images are 15 train steps of 10. A share says it.
    official = schedule(50, **fixed, warmup=3 * 50 // 10 / 100)
    rates = [official.learning_rate(done) for done in range(101)]
    assert max(rates) == rates[15] == pytest.approx(0.1)


def test_few_examples_cut_the_batch_and_the_micro_batch() -> None:
    cut = schedule(20, batch=64, micro_batch=32)
    assert (cut.batch, cut.micro_batch) == (20, 20)
    assert schedule(100, batch=64, micro_batch=32).micro_batch == 32
    assert schedule(20, batch=64, batch_at_most_examples=False).batch == 64


def test_scalings_of_the_learning_rate() -> None:
    rates = {name: peak_learning_rate(0.1, name, 1024) for name in ("sqrt", "linear", "none")}
    assert rates == {"sqrt": pytest.approx(3.2), "linear": pytest.approx(0.4), "none": 0.1}


def test_labelled_images_of_imagenet() -> None:
    counts = [labelled_images(images=1281167, classes=1000, fraction=one, per_class=None) for one in (0.01, 0.1, 1.0)]
    assert counts == [12811, 128116, 1281167]
    assert labelled_images(images=1281167, classes=1000, fraction=None, per_class=2) == 2000
