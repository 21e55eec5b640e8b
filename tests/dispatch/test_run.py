"""Runs over slots and in this process: failures, timeouts, Steps of other processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from simclr_spec.core.errors import SimclrSpecError
from simclr_spec.core.files import read_json
from simclr_spec.dispatch.board import Board
from simclr_spec.dispatch.run import Ending, run
from simclr_spec.language.runner import Debug, Local, Runner
from simclr_spec.plan import compile
from simclr_spec.store.layout import Store
from tests import runs
from tests.dispatch.silent import Silent

HOLD = """
import time, pathlib
from simclr_spec.store.layout import RunFolder
with RunFolder(pathlib.Path({!r})).leased():
    time.sleep(2)
"""


def _run(folder: Path, runner: Runner, watcher: Silent, *more: str) -> Ending:
    (folder / "tiny.toml").write_text(runs.SPEC)
    plan = compile([str(folder / "tiny.toml")], sets=runs.sets(*more))
    seconds = {step.fingerprint: 1.0 for step in plan.steps}
    return run(plan, plan.steps, Store(folder / "runs"), runner, watcher, seconds=seconds)


def test_workers_that_cannot_start_end_the_run_with_their_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "torch.py").write_text("raise ImportError('libcudart is not here')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'broken'}:{os.environ.get('PYTHONPATH', '')}")
    with pytest.raises(SimclrSpecError, match=r"do not start: ImportError: libcudart is not here \(see .*err\)"):
        _run(tmp_path, Local(slots=1), Silent())
    assert list((tmp_path / "runs" / ".jobs").glob("*/*/*_log.err"))


@pytest.mark.parametrize("asked", [False, True])
def test_what_the_runner_says_of_arithmetic_reaches_its_workers(asked: bool, tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(runs.SPEC)
    plan = compile([str(tmp_path / "tiny.toml")], sets=runs.sets("train_steps=1"))
    steps = [step for step in plan.steps if step.kind == "supervised"]
    runner = Local(slots=1, deterministic=asked, recompute=not asked)
    outcome = run(plan, steps, Store(tmp_path / "runs"), runner, Silent(), seconds={steps[0].fingerprint: 1.0})
    told = read_json(outcome.done[0].folder.result)["environment"]
    assert (told["deterministic"], told["recompute"]) == (asked, not asked)


def test_a_failed_step_blocks_its_descendants_only(tmp_path: Path) -> None:
    outcome = _run(tmp_path, Local(slots=1, checkpoint_seconds=60), Silent(), "finetune.learning_rate=1e30")
    states = {task.step.kind: task.state for task in outcome.board.tasks.values()}
    expected = {"pretrain": "done", "finetune": "failed", "linear_eval": "done", "supervised": "done", "distill": "blocked"}
    assert states == expected
    (failed,), (blocked,) = outcome.failed, outcome.not_run
    assert "the loss became" in failed.why
    assert failed.log is not None
    assert "the loss became" in failed.log.read_text()
    assert blocked.why == f"{failed.name} failed"
    assert read_json(failed.folder.attempts()[0].record)["job"] == "local, slot 0"


def test_a_step_longer_than_the_timeout_fails_and_keeps_its_checkpoint(tmp_path: Path) -> None:
    more = ("pretrain.train_steps=1000000", "supervised.train_steps=1")
    outcome = _run(tmp_path, Local(slots=1, timeout_minutes=1 / 60), Silent(), *more)
    (failed,) = outcome.failed
    assert failed.step.kind == "pretrain"
    assert "the runner's timeout of 0.0166667 minutes" in failed.why
    assert failed.folder.attempts()[-1].checkpoint.exists()
    assert failed.folder.state() == "failed"
    assert [task.step.kind for task in outcome.done] == ["supervised"]


@pytest.mark.parametrize("runner", [Local(slots=1), Debug()])
def test_a_step_in_other_hands_is_followed_and_not_run_twice(tmp_path: Path, runner: Runner) -> None:
    """A worker that survived its runner holds the lease: the same run again waits, and takes the Step up when it is free."""
    (tmp_path / "tiny.toml").write_text(runs.SPEC)
    plan = compile([str(tmp_path / "tiny.toml")], sets=runs.sets("train_steps=1"))
    step = next(step for step in plan.steps if step.kind == "supervised")
    folder = Store(tmp_path / "runs").folder(step.id)
    other = subprocess.Popen([sys.executable, "-c", HOLD.format(str(folder.path))])
    runs.wait_for(folder.is_leased)
    watcher = Silent()
    outcome = run(plan, [step], Store(tmp_path / "runs"), runner, watcher, seconds={step.fingerprint: 1.0})
    assert other.wait() == 0
    assert len(outcome.done) == 1
    assert len(folder.attempts()) == 1
    assert watcher.seen == [("supervised", state) for state in ("elsewhere", "waiting", "running", "done")]


def test_a_killed_worker_fails_its_step_and_the_rest_goes_on(tmp_path: Path) -> None:
    with runs.started(tmp_path, "--set", "pretrain.train_steps=100000") as process:
        runs.wait_for(lambda: runs.working(tmp_path, "pretrain"))
        os.kill(runs.working(tmp_path, "pretrain") or 0, signal.SIGKILL)
        said, _ = process.communicate(timeout=runs.PATIENCE)
    assert process.returncode == 1
    assert "1 done, 1 failed, 3 not run" in said
    assert "✗ pretrain r18-1x-digits-s0: its process ended without a word" in said
    (folder,) = [folder for folder in Store(tmp_path / "runs").folders() if folder.path.parent.name == "pretrain"]
    assert folder.state() == "failed"


def test_the_last_words_of_a_worker_that_dies_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here Python's own, of which the list of extension modules is the last line."""
    monkeypatch.setenv("PYTHONFAULTHANDLER", "1")
    monkeypatch.setenv("SIMCLR_SPEC_CHECKPOINT_STEPS", "1")

    class Aborts(Silent):
        def tick(self, board: Board) -> None:
            if pid := runs.working(tmp_path, "supervised"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGABRT)

    outcome = _run(tmp_path, Local(slots=1), Aborts(), "train_steps=1", "supervised.train_steps=100000")
    (failed,) = outcome.failed
    assert failed.step.kind == "supervised"
    assert failed.why.startswith("Extension modules: ")
    assert failed.log == failed.folder.attempts()[-1].log
    assert failed.folder.state() == "failed"
