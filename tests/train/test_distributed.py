"""How a process computes: float32 that is not TF32, and the same bits every time where that is asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from simclr_spec.core.files import read_json
from simclr_spec.store.layout import RunFolder, Store
from tests.steps import STRONG, prepare


def python(*words: str, **environment: str) -> str:
    variables = os.environ | {"SIMCLR_SPEC_THREADS": "1"} | environment
    done = subprocess.run([sys.executable, *words], env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_tf32_is_off_for_both_of_torchs_interfaces() -> None:
    """In a process of its own: what is set stays set. torch raises where the two are mixed; inductor reads the older."""
    read = (
        "import json, torch\n"
        "from simclr_spec.train import distributed\n"
        "distributed.start()\n"
        "backends = torch.backends\n"
        "older = [backends.cudnn.allow_tf32, backends.cuda.matmul.allow_tf32]\n"
        "newer = [backends.cudnn.conv.fp32_precision, backends.cudnn.rnn.fp32_precision, backends.cuda.matmul.fp32_precision]\n"
        "print(json.dumps([older, newer, torch.get_float32_matmul_precision()]))\n"
    )
    older, newer, precision = json.loads(python("-c", read))
    assert older == [False, False]
    assert not {"tf32", "bf16"} & {*newer}
    assert precision == "highest"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_float32_on_a_gpu_is_not_tf32() -> None:
    compute = (
        "import torch\n"
        "from simclr_spec.train import distributed\n"
        "distributed.start()\n"
        "torch.manual_seed(0)\n"
        "x, w = torch.randn(8, 64, 16, 16, device='cuda'), torch.randn(64, 64, 3, 3, device='cuda')\n"
        "for form in (lambda x, w: torch.conv2d(x, w), lambda x, w: x.flatten(1) @ x.flatten(1).T):\n"
        "    exact = form(x.double(), w.double())\n"
        "    print(float((form(x, w) - exact).norm() / exact.norm()))\n"
    )
    errors = [float(line) for line in python("-c", compute).split()]
    assert max(errors) < 1e-5  # TF32's are 3e-4


def chain(store: Store) -> list[RunFolder]:
    """A Step of every kind, with all that could sum in an order of its own."""
    memory: dict[str, Any] = {
        "memory__enabled": True,
        "linear_head": True,
        "augment__blur_border": "reflect",
        "augment__blur_sigma": "per_sample",
    }
    deep: dict[str, Any] = {"encoder__depth": 50, "encoder__sk": True, "encoder__stem": "imagenet"}
    short: dict[str, Any] = {"train_steps": 3, "test_images": 40}
    pretrain = prepare(store, "pretrain", **short, **STRONG, **memory)
    tuned = prepare(store, "finetune", {"from": pretrain}, **short, optimizer="sgd")
    return [
        pretrain,
        prepare(store, "linear_eval", {"from": pretrain}, **short),
        tuned,
        prepare(store, "distill", {"teacher": tuned}, **short, alpha=0.5),
        prepare(store, "supervised", **short, **deep, augment__autoaugment=True, augment__resize="antialias"),
    ]


def test_every_kind_of_training_is_deterministic_where_that_is_asked_for(tmp_path: Path) -> None:
    """torch raises where it knows of no deterministic way. On a GPU if there is one; CPUs give the same bits anyway."""
    runs = [chain(Store(tmp_path / name)) for name in ("one", "two")]
    for folders in runs:
        told = python("-m", "simclr_spec.train", *(str(folder.path) for folder in folders), SIMCLR_SPEC_DETERMINISTIC="1")
        assert told == ""
    for one, two in zip(*runs, strict=True):
        assert read_json(one.result)["environment"]["deterministic"] is True
        again = load_file(two.weights)
        for name, tensor in load_file(one.weights).items():
            assert torch.equal(tensor, again[name]), f"{one.path.name}: {name}"


def test_determinism_is_not_asked_for_unless_the_runner_does(tmp_path: Path) -> None:
    folder = prepare(Store(tmp_path), "supervised", train_steps=1, test_images=40)
    python("-m", "simclr_spec.train", str(folder.path))
    assert read_json(folder.result)["environment"]["deterministic"] is False
