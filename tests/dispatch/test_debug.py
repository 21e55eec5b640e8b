"""The runner `debug`: in one process, stopped as any other."""

from __future__ import annotations

import os
import pkgutil
import signal
from pathlib import Path
from typing import Any

import pytest

from simclr_spec.core.files import read_json
from simclr_spec.dispatch.board import Board
from simclr_spec.dispatch.run import Ending, run
from simclr_spec.dispatch.task import Task
from simclr_spec.language.runner import Debug
from simclr_spec.plan import compile
from simclr_spec.store.layout import Store
from tests import runs
from tests.dispatch.silent import Silent
from tests.finished import fail


class Watches(Silent):
    """Which handlers of Ctrl-C there are while no Step runs."""

    def __init__(self) -> None:
        super().__init__()
        self.handlers: set[object] = set()

    def changed(self, board: Board, task: Task) -> None:
        super().changed(board, task)
        self.handlers.add(signal.getsignal(signal.SIGINT))


def _variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("SIMCLR_SPEC_") or name.endswith("_THREADS")}


def test_it_works_in_this_process(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(runs.SPEC)
    plan = compile([str(tmp_path / "tiny.toml")], sets=runs.sets("train_steps=1"))
    watcher, seconds, before = Watches(), {step.fingerprint: 1.0 for step in plan.steps}, _variables()
    outcome = run(plan, plan.steps, Store(tmp_path / "runs"), Debug(), watcher, seconds=seconds, data_roots=["/none"])
    assert len(outcome.done) == 5
    assert watcher.seen[:2] == [("pretrain", "running"), ("pretrain", "done")]
    record = read_json(outcome.done[0].folder.attempts()[0].record)
    assert record["pid"] == os.getpid()
    assert _variables() == before, "what is said to it is said to no other run of this process"
    assert len(watcher.handlers) == 1, "between Steps Ctrl-C means the run"


def test_a_fault_before_the_attempt_is_not_told_as_that_of_an_earlier_one(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(runs.SPEC)
    plan, store = compile([str(tmp_path / "tiny.toml")]), Store(tmp_path / "runs")
    step = plan.steps[0]
    fail(store, step).step.write_text("{}")
    outcome = run(plan, [step], store, Debug(), Silent(), seconds={step.fingerprint: 1.0})
    (failed,) = outcome.failed
    assert "step.json" in failed.why
    assert failed.log is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_its_step_and_ends_the_run(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "here.toml").write_text('kind = "debug"\n')
    options = ("--runner", str(tmp_path / "here.toml"), "--set", "pretrain.train_steps=1000000", "kind=pretrain")
    with runs.started(tmp_path, *options) as process:
        runs.wait_for(lambda: runs.working(tmp_path, "pretrain") == process.pid)
        os.kill(process.pid, number)
        output, _ = process.communicate(timeout=runs.PATIENCE)
    assert process.returncode == 130
    assert "continues from the checkpoints." in output.splitlines()[-1]
    (folder,) = Store(tmp_path / "runs").folders()
    assert folder.state() == "interrupted"
    assert folder.is_free()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_torch_is_imported_is_heard(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "here.toml").write_text('kind = "debug"\n')
    options = ("--runner", str(tmp_path / "here.toml"), "--set", "pretrain.train_steps=1000000", "kind=pretrain")
    with runs.started(tmp_path, *options) as process:
        assert process.stdout is not None
        assert any("begins" in line for line in process.stdout)
        os.kill(process.pid, number)
        process.communicate(timeout=runs.PATIENCE)
    assert process.returncode == 130
    (folder,) = Store(tmp_path / "runs").folders()
    assert folder.attempts() == []


def _stopped_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, place: str) -> Ending:
    """A run of two Steps that ignores other signals; the first hears this one at a function of the training wing."""
    there = pkgutil.resolve_name(place)

    def signalled(*args: Any, **kwargs: Any) -> Any:
        signal.raise_signal(number)
        return there(*args, **kwargs)

    monkeypatch.setattr(place.replace(":", "."), signalled)
    (tmp_path / "tiny.toml").write_text(runs.SPEC)
    plan = compile([str(tmp_path / "tiny.toml")], sets=runs.sets("train_steps=2"))
    steps = [step for step in plan.steps if step.kind in ("pretrain", "linear_eval")]
    stops = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {other: signal.signal(other, signal.SIG_DFL if other == number else signal.SIG_IGN) for other in stops}
    try:
        return run(plan, steps, Store(tmp_path / "runs"), Debug(), Silent(), seconds=dict.fromkeys(plan.by_fingerprint, 1.0))
    finally:
        for other, handler in before.items():
            signal.signal(other, handler)


@pytest.mark.parametrize("place", ["distributed:start", "loop.trainer:Trainer.advance"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_heard_while_a_step_gets_ready_and_while_it_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, place: str
) -> None:
    ending = _stopped_in(tmp_path, monkeypatch, number, f"simclr_spec.train.{place}")
    assert ending.stopped
    assert [task.state for task in ending.board.tasks.values()] == ["interrupted", "blocked"]


def test_a_step_that_a_signal_finds_in_its_last_evaluation_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ending = _stopped_in(tmp_path, monkeypatch, signal.SIGTERM, "simclr_spec.train.stages.pretrain:Pretrain.evaluate")
    assert ending.stopped
    assert [task.state for task in ending.board.tasks.values()] == ["done", "waiting"]


def test_a_cancelled_step_ends_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "here.toml").write_text('kind = "debug"\n')
    more = ("--set", "pretrain.train_steps=1000000", "--set", "supervised.train_steps=1")
    with runs.started(tmp_path, "--runner", str(tmp_path / "here.toml"), *more) as process:
        runs.wait_for(lambda: runs.working(tmp_path, "pretrain"))
        (folder,) = [folder for folder in Store(tmp_path / "runs").folders() if folder.path.parent.name == "pretrain"]
        folder.cancel()
        output, _ = process.communicate(timeout=runs.PATIENCE)
    assert process.returncode == 1
    assert "pretrain r18-1x-digits-s0: interrupted: cancelled" in output
    assert "1 done, 1 interrupted, 3 not run" in output
