"""Our own golden trajectories, from images to weights, of every kind of training.

They stand for their stage's `revision`: stored results are believed because equal fingerprints mean equal arithmetic. When a
trajectory is meant to move, raise that stage's revision in its file of simclr_spec/stages/ and write the file again:
python -m tests.train.test_own_trajectories
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import torch
from torch import nn

from simclr_spec.core.fields import build
from simclr_spec.stages.finetune import FinetuneConfig
from simclr_spec.stages.kinds import KINDS
from simclr_spec.stages.pretrain import PretrainConfig
from simclr_spec.store.layout import RunFolder, Store
from simclr_spec.train.data import datasets
from simclr_spec.train.loop.fit import stage_class
from simclr_spec.train.loop.trainer import Trainer, train_step
from simclr_spec.train.stages.finetune import Finetune
from simclr_spec.train.stages.pretrain import Pretrain
from tests.places import GOLDEN
from tests.steps import STRONG, disturb, finished, step

FILE = GOLDEN / "own_trajectories.json"
TRAIN_STEPS = 4
# At a large rate or a low temperature so small a network turns an image's last bit, which is not the same on every CPU, into a
# tenth of the loss.
# Half of the train steps warm up: the first at rate 0, the second at half the peak.
PRETRAIN = {**STRONG, "learning_rate": 0.0001, "temperature": 0.5, "warmup": 0.5}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "pretrain": ("pretrain", {"linear_head": True, **PRETRAIN}),
    "pretrain, memory": ("pretrain", {"memory__enabled": True, **PRETRAIN}),
    "finetune": ("finetune", {"from_layer": 1}),
    "linear_eval": ("linear_eval", {}),
    "supervised": ("supervised", {"label_smoothing": 0.1}),
    "distill": ("distill", {"alpha": 0.5, "temperature": 0.5}),
}


def revision(kind: str) -> int:
    return int(get_args(get_type_hints(KINDS[kind].parameters)["revision"])[-1])


def _parents(store: Store) -> dict[str, RunFolder]:
    """A pretrained and a fine-tuned network, as if: random weights and statistics."""
    torch.manual_seed(5)
    first = Pretrain(build(PretrainConfig, step("pretrain")), {})
    disturb(first)
    pretrained = finished(store, "pretrain", first.exported_weights())
    tuned = Finetune(build(FinetuneConfig, step("finetune")), {"from": pretrained})
    nn.init.normal_(tuned.classifier.weight)
    return {"from": pretrained, "teacher": finished(store, "finetune", tuned.exported_weights(), {"from": pretrained})}


def trajectory(case: str, folder: Path) -> dict[str, Any]:
    """The losses of the first train steps, and the norm of every tensor that they leave."""
    kind, overrides = CASES[case]
    config = KINDS[kind].build(step(kind, batch=16, train_steps=TRAIN_STEPS, **overrides))
    parents = _parents(Store(folder))
    torch.manual_seed(config.seed)
    stage = stage_class(kind)(config, parents).double()
    for name, module in stage.named_modules():
        if name.rpartition(".")[2] == "encoder":
            module.register_forward_pre_hook(lambda _m, x: (x[0].double(),))  # images come as float32
    run = Trainer(config, stage, datasets.load(config.dataset), torch.device("cpu"))
    losses = []
    for t in range(TRAIN_STEPS):
        losses.append(float(train_step(stage, run.optimizer, run.make_batch(t), run.rate(), run.schedule.micro_batch)[0]))
        run.done += 1
    state = {name: float(f"{float(tensor.double().norm()):.10g}") for name, tensor in sorted(stage.state().items())}
    return {"revision": revision(kind), "losses": losses, "norms": state}


@pytest.mark.parametrize("case", CASES)
def test_a_trajectory_moves_with_its_revision_only(case: str, tmp_path: Path) -> None:
    kind, stored = CASES[case][0], json.loads(FILE.read_text())[case]
    again = "python -m tests.train.test_own_trajectories"
    assert stored["revision"] == revision(kind), f"{kind} has a new revision: write its trajectory with {again}"
    found = trajectory(case, tmp_path)
    assert found["norms"].keys() == stored["norms"].keys()
    moved = f"the arithmetic of {kind} has moved: if that is meant, raise its revision in simclr_spec/stages/, then {again}"
    # Augmentation is float32: the order of its sums may differ between kinds of CPU.
    assert found["losses"] == pytest.approx(stored["losses"], rel=1e-5), moved
    assert found["norms"] == pytest.approx(stored["norms"], rel=3e-4, abs=1e-8), moved


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        made = {case: trajectory(case, Path(scratch) / str(i)) for i, case in enumerate(CASES)}
    FILE.write_text(json.dumps(made, indent=1) + "\n")
