"""How a Step is executed: a compiled network computes the same numbers, and a train step never waits for the GPU."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from simclr_spec import params
from simclr_spec.train import data
from simclr_spec.train.loop import STAGES
from simclr_spec.train.run import Run, train_step
from tests.steps import step

KINDS: list[tuple[str, dict[str, Any]]] = [
    ("pretrain", {"linear_head": True}),
    ("pretrain", {"memory__enabled": True}),
    ("supervised", {}),
]


def started(kind: str, device: str = "cpu", **overrides: Any) -> Run:
    config = params.build(params.KINDS[kind], step(kind, **overrides))
    torch.manual_seed(0)
    return Run(config, STAGES[kind](config, {}), data.load(config.dataset).to(device), torch.device(device))


@pytest.mark.skipif(not any(map(shutil.which, ("g++", "c++", "clang++"))), reason="torch.compile needs a C++ compiler")
def test_a_compiled_encoder_computes_the_same_numbers(tmp_path: Path) -> None:
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "tests.train.compiled"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["graphs"] >= 1
    for plain, compiled in found["losses"]:
        assert compiled == pytest.approx(plain, rel=1e-4)
    assert found["farthest"] <= 1e-4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("kind", "overrides"), KINDS)
@pytest.mark.parametrize("optimizer", ["lars", "sgd"])
def test_a_train_step_never_waits_for_the_device(kind: str, overrides: dict[str, Any], optimizer: str) -> None:
    run = started(kind, "cuda", optimizer=optimizer, **overrides)
    train_step(run.stage, run.optimizer, run.make_batch(0), run.rate())  # libraries set themselves up
    shown = run.make_batch(1)
    torch.cuda.set_sync_debug_mode("error")
    try:
        train_step(run.stage, run.optimizer, shown, run.rate())
    finally:
        torch.cuda.set_sync_debug_mode("default")
