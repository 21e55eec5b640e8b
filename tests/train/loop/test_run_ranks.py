"""Whole train steps over 1 to 4 gloo ranks: the same images, losses, gradients and BN statistics, in double precision."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from simclr_spec.core.fields import build
from simclr_spec.core.files import read_json
from simclr_spec.stages.kinds import KINDS
from simclr_spec.stages.supervised import SupervisedConfig
from simclr_spec.store.layout import Attempt, RunFolder, Store
from simclr_spec.train.checkpoint import Checkpoint, write_checkpoint
from simclr_spec.train.data import datasets
from simclr_spec.train.loop.attempt import Record, Stop
from simclr_spec.train.loop.fit import _resume as resume
from simclr_spec.train.loop.fit import stage_class
from simclr_spec.train.loop.job import Job
from simclr_spec.train.loop.trainer import Trainer, train_step
from tests.steps import STRONG, prepare, step
from tests.train.ranks import Counter, in_processes

TRAIN_STEPS = 2
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "pretrain": ("pretrain", {"linear_head": True}),
    "memory": ("pretrain", {"memory__enabled": True, "memory__keys": 80}),
    "micro-batches": ("pretrain", {"micro_batch": 12}),
    "memory, micro-batches": ("pretrain", {"memory__enabled": True, "memory__keys": 40, "micro_batch": 12}),
    "supervised": ("supervised", {"labels__fraction": 0.05}),
    "SK, channels last": ("pretrain", {"encoder__depth": 50, "encoder__sk": True, "channels_last": True}),
}


def trained(case: str, world: int = 1, device: str = "cpu") -> dict[str, Any]:
    """What the first train steps of a Step show and leave behind."""
    kind, overrides = CASES[case]
    config = KINDS[kind].build(step(kind, batch=24, train_steps=TRAIN_STEPS, **STRONG, **overrides))
    torch.manual_seed(config.seed)
    stage = stage_class(kind)(config, {}).double()
    for name, module in stage.named_modules():
        if name.rpartition(".")[2] == "encoder":
            module.register_forward_pre_hook(lambda _m, x: (x[0].double(),))  # images come as float32
    run = Trainer(config, stage, datasets.load(config.dataset).to(device), torch.device(device))
    found: dict[str, Any] = {"images": [], "losses": [], "gradients": []}
    for t in range(TRAIN_STEPS):
        shown = run.make_batch(t)
        rows = zip(*(view.cpu().numpy() for view in shown.views), shown.labels.tolist(), strict=True)
        found["images"].append([(*(view.tobytes() for view in views), label) for *views, label in rows])
        measured = train_step(stage, run.optimizer, shown, run.rate(), run.schedule.micro_batch // world)
        # Not the accuracies: images with equal outputs tie, and a tie falls to either side.
        found["losses"].append(measured[[i for i, name in enumerate(stage.measures) if name.endswith("loss")]].cpu())
        found["gradients"].append(torch.cat([p.grad.flatten().cpu() for p in stage.parameters() if p.grad is not None]))
        run.done += 1
    found["statistics"] = torch.cat([b.double().flatten().cpu() for name, b in stage.named_buffers() if "running" in name])
    found["state"] = {name: tensor.double().cpu() for name, tensor in stage.state().items()}
    return found


def work(_rank: int, world: int, _counter: Counter) -> dict[str, Any]:
    return {case: trained(case, world) for case in CASES}


def work_on_gpus(rank: int, world: int, _counter: Counter) -> dict[str, Any]:
    return {case: trained(case, world, f"cuda:{rank}") for case in CASES}


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    return {case: trained(case) for case in CASES}


def close(ours: Tensor, whole: Tensor) -> None:
    assert (ours - whole).norm() <= 1e-6 * whole.norm()


@pytest.mark.parametrize("world", [2, 3, 4])
def test_ranks_train_as_one_process(world: int, alone: dict[str, Any], tmp_path: Path) -> None:
    _compare(in_processes(world, work, tmp_path / "meeting"), alone)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_train_as_one(tmp_path: Path) -> None:
    alone = {case: trained(case, device="cuda") for case in CASES}
    _compare(in_processes(2, work_on_gpus, tmp_path / "meeting", "nccl"), alone)


def _compare(ranks: list[dict[str, Any]], alone: dict[str, Any]) -> None:
    for case, whole in alone.items():
        for t in range(TRAIN_STEPS):
            shown = [image for rank in ranks for image in rank[case]["images"][t]]
            assert sorted(shown) == sorted(whole["images"][t]), f"{case}: other images in train step {t}"
            assert len(set(shown)) == 24
        for rank in ranks:
            for name in ("losses", "gradients"):
                for ours, theirs in zip(rank[case][name], whole[name], strict=True):
                    close(ours, theirs)
            close(rank[case]["statistics"], whole["statistics"])
            for name, tensor in whole["state"].items():
                close(rank[case]["state"][name], tensor)


def _resumed(folder: RunFolder, rank: int, _world: int, _counter: Counter) -> tuple[int, dict[str, Tensor]]:
    """Where a rank goes on when rank 1 cannot read what attempt 2 left."""
    read = Trainer.read

    def partly(self: Trainer, checkpoint: Checkpoint) -> dict[str, Tensor]:
        if rank == 1 and checkpoint.path.parent.name == "2":
            raise OSError("stale file handle")
        return read(self, checkpoint)

    Trainer.read = partly  # type: ignore[method-assign]
    run, attempt = _run(), Attempt(folder.path / "attempts" / "3")
    resume(
        run,
        Job(
            folder=folder,
            attempt=attempt,
            step=read_json(folder.step),
            device=torch.device("cpu"),
            stop=Stop(folder),
            record=Record(attempt),
        ),
    )
    return run.done, run.state()


def _run() -> Trainer:
    config = build(SupervisedConfig, step("supervised", batch=24, train_steps=9))
    torch.manual_seed(config.seed)
    return Trainer(config, stage_class("supervised")(config, {}), datasets.load(config.dataset), torch.device("cpu"))


def test_ranks_go_on_from_the_newest_checkpoint_that_all_can_read(tmp_path: Path) -> None:
    folder = prepare(Store(tmp_path / "runs"), "supervised", batch=24, train_steps=9)
    run, left = _run(), []
    for _ in range(2):
        run.advance()
        fingerprint = read_json(folder.step)["fingerprint"]
        write_checkpoint(folder.new_attempt(), run.state(), fingerprint=fingerprint, train_step=run.done, seconds=1.0)
        left.append({name: tensor.clone() for name, tensor in run.state().items()})
    folder.new_attempt()
    for done, state in in_processes(2, partial(_resumed, folder), tmp_path / "meeting"):
        assert done == 1
        assert all(torch.equal(state[name], tensor) for name, tensor in left[0].items())
    assert read_json(folder.attempts()[-1].record)["resumed_from"] == {"attempt": 1, "train_step": 1}
