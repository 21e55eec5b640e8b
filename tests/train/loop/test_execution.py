"""How a Step is executed: its precision, memory format and compiling are obeyed, and a train step never waits for the GPU."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from simclr_spec.stages.kinds import KINDS
from simclr_spec.store.layout import Store
from simclr_spec.train.data import datasets
from simclr_spec.train.loop.execute import execute
from simclr_spec.train.loop.fit import stage_class
from simclr_spec.train.loop.trainer import Trainer
from tests.steps import prepare, step

CASES: list[tuple[str, dict[str, Any]]] = [
    ("pretrain", {"linear_head": True}),
    ("pretrain", {"memory__enabled": True}),
    ("supervised", {}),
]


def started(kind: str, device: str = "cpu", **overrides: Any) -> Trainer:
    config = KINDS[kind].build(step(kind, **overrides))
    torch.manual_seed(0)
    return Trainer(config, stage_class(kind)(config, {}), datasets.load(config.dataset).to(device), torch.device(device))


@pytest.mark.skipif(not any(map(shutil.which, ("g++", "c++", "clang++"))), reason="torch.compile needs a C++ compiler")
def test_a_compiled_encoder_computes_the_same_numbers(tmp_path: Path) -> None:
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "tests.train.loop.compiled"]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["graphs"] >= 1
    for plain, compiled in found["losses"]:
        assert compiled == pytest.approx(plain, rel=1e-4)
    assert found["farthest"] <= 1e-4


@dataclass(frozen=True)
class Call:
    """Of the first convolution."""

    training: bool
    output: torch.dtype
    last: tuple[bool, bool, bool]
    """Whether input, weight and output have their channels last."""


@pytest.fixture
def calls() -> Iterator[list[Call]]:
    found: list[Call] = []

    def look(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d) and module.in_channels == 3:
            last = (t.is_contiguous(memory_format=torch.channels_last) for t in (inputs[0], module.weight, output))
            found.append(Call(torch.is_grad_enabled(), output.dtype, tuple(last)))  # type: ignore[arg-type]

    handle = register_module_forward_hook(look)
    yield found
    handle.remove()


def trained(tmp_path: Path, kind: str = "supervised", **overrides: Any) -> None:
    execute(prepare(Store(tmp_path), kind, train_steps=3, test_images=40, **overrides).path)


@pytest.mark.parametrize("kind", ["supervised", "pretrain"])
@pytest.mark.parametrize(("precision", "expected"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_precision_is_that_of_training_alone(
    kind: str, precision: str, expected: torch.dtype, calls: list[Call], tmp_path: Path
) -> None:
    trained(tmp_path, kind, precision=precision)
    assert [call.output for call in calls if call.training] == [expected] * 3
    evaluations = [call.output for call in calls if not call.training]
    assert evaluations == [torch.float32] * len(evaluations)
    assert evaluations


@pytest.mark.parametrize("channels_last", [False, True])
def test_the_memory_format_is_obeyed(channels_last: bool, calls: list[Call], tmp_path: Path) -> None:
    trained(tmp_path, channels_last=channels_last)
    steps = [call for call in calls if call.training]
    assert len(steps) == 3
    assert all(call.last == (channels_last,) * 3 for call in steps)


@pytest.mark.parametrize("asked", [False, True])
def test_encoders_are_compiled_where_the_step_asks_for_it(
    asked: bool, calls: list[Call], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a compiler: what torch.compile would have compiled is called at every train step."""
    ran: list[bool] = []

    def compile(function: Callable[..., Any], **_: Any) -> Callable[..., Any]:
        def compiled(*args: Any, **kwargs: Any) -> Any:
            ran.append(torch.is_grad_enabled())
            return function(*args, **kwargs)

        return compiled

    monkeypatch.setattr(torch, "compile", compile)
    trained(tmp_path, compile=asked)
    assert ran == ([call.training for call in calls] if asked else [])
    assert sum(call.training for call in calls) == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("kind", "overrides"), CASES)
@pytest.mark.parametrize("optimizer", ["lars", "sgd"])
def test_a_train_step_never_waits_for_the_device(kind: str, overrides: dict[str, Any], optimizer: str) -> None:
    run = started(kind, "cuda", optimizer=optimizer, **overrides)
    run.advance()  # libraries set themselves up
    torch.cuda.set_sync_debug_mode("error")
    try:
        run.advance()
    finally:
        torch.cuda.set_sync_debug_mode("default")
