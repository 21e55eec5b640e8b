"""What a run knows of its Steps: names, order, the time that is left."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from simclr_spec.dispatch.board import Board
from simclr_spec.language.runner import Local, Rule
from simclr_spec.plan import compile
from simclr_spec.store.layout import Store
from tests import runs
from tests.finished import FEW


def test_steps_of_one_name_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(
        runs.SPEC.replace("labels_per_class = [1]", "labels_per_class = [1]\nfrom_layer = [0, 1]")
    )
    plan = compile([str(tmp_path / "tiny.toml")])
    board = Board.of(plan.steps, Store(tmp_path), {step.fingerprint: 1.0 for step in plan.steps})
    names = [task.name for task in board.tasks.values()]
    assert len(set(names)) == len(names)
    assert "pretrain r18-1x-digits-s0" in names
    tuned = [step.fingerprint[:8] for step in plan.steps if step.kind == "finetune"]
    assert [name.rpartition(" ")[2] for name in names if name.startswith("finetune")] == tuned


def test_the_longest_chain_begins_first(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(runs.SPEC)
    plan = compile([str(tmp_path / "tiny.toml")])
    hours = {"pretrain": 1.0, "finetune": 5.0, "linear_eval": 2.0, "distill": 4.0, "supervised": 9.0}
    board = Board.of(plan.steps, Store(tmp_path), {step.fingerprint: hours[step.kind] for step in plan.steps})
    assert [task.step.kind for task in board.ready()] == ["pretrain", "supervised"]
    assert [task.urgency for task in board.ready()] == [10.0, 9.0]
    assert board.remaining_seconds() is None
    for task in board.ready():
        task.state, task.seconds = "done", 2 * task.work
    board.parallelism = 2
    assert board.remaining_seconds() == pytest.approx(2 * (5 + 2 + 4) / 2)
    for task in board.tasks.values():
        task.state = "done"
    assert board.remaining_seconds() == 0.0


def test_a_step_of_several_devices_takes_less_time_and_more_of_them(tmp_path: Path) -> None:
    """Of 8 s of one device's work a Step on two has 4 to go; a Step on one after it has 8 of its own."""
    plan = compile([FEW])
    two = Local(rules=(Rule(when={"stage": "pretrain"}, set={"processes": 2}),))
    board = Board.of(plan.steps, Store(tmp_path), {step.fingerprint: 8.0 for step in plan.steps}, two)
    work = {task.step.stage: (task.work, task.devices) for task in board.tasks.values()}
    assert (work.pop("pretrain"), set(work.values())) == ((4.0, 2), {(8.0, 1)})
    board.parallelism = 2
    first, *rest = board.tasks.values()
    first.since, first.fraction, first.first_fraction = time.monotonic() - 2.0, 0.5, 0.0
    expected = (0.5 * 4 * 2 + sum(task.work * task.devices for task in rest)) / 2
    assert first.step.stage == "pretrain"
    assert board.remaining_seconds() == pytest.approx(expected, rel=0.02)
