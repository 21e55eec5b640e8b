"""Two train steps of a supervised network, plain and compiled: `python -m tests.train.loop.compiled` prints the differences.

In a process of its own: what the compiler loads stays loaded. Eight channels, not the two of other tests: with two the numbers
agree as well, but the process crashed at its end (torch 2.15, CPU).
"""

from __future__ import annotations

import json
from typing import Any

import torch

from simclr_spec.core.fields import build
from simclr_spec.stages.supervised import SupervisedConfig
from simclr_spec.train.data import datasets
from simclr_spec.train.loop.trainer import Trainer, train_step
from simclr_spec.train.stages.supervised import Supervised
from tests.steps import step


def started() -> Trainer:
    config: Any = build(SupervisedConfig, step("supervised", batch=16, encoder__base_width=8))
    torch.manual_seed(0)
    return Trainer(config, Supervised(config, {}), datasets.load(config.dataset), torch.device("cpu"))


def main() -> None:
    plain, compiled = started(), started()
    compiled.stage.compile_encoders()
    losses = []
    for t in range(2):
        shown = plain.make_batch(t)
        losses.append([float(train_step(run.stage, run.optimizer, shown, 0.1, len(shown))[0]) for run in (plain, compiled)])
    states = zip(plain.stage.state().values(), compiled.stage.state().values(), strict=True)
    farthest = max(float((two - one).norm() / one.norm().clamp(min=1e-6)) for one, two in states)
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    print(json.dumps({"losses": losses, "farthest": farthest, "graphs": graphs}))


if __name__ == "__main__":
    main()
