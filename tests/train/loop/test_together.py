"""The processes of one Step live and die together: the first fault is told, and none leaves before all is written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simclr_spec.core.files import read_json
from simclr_spec.store.layout import RunFolder, Store
from simclr_spec.store.outcomes import metrics, read
from tests import runs
from tests.steps import prepare

Start = Callable[..., list[subprocess.Popen[str]]]
LONG: dict[str, Any] = {"train_steps": 120, "batch": 24, "test_images": 41}
MAIN = """
import os, sys, time
from simclr_spec.store.layout import RunFolder
from simclr_spec.train import distributed
from simclr_spec.train.__main__ import main
from simclr_spec.train.loop import fit
from simclr_spec.train.loop.trainer import Trainer
rank, advance, write, commit = int(os.environ["RANK"]), Trainer.advance, fit.write_checkpoint, RunFolder.commit
{}
distributed.leave(main(sys.argv[1:]))
"""
RAISES = """
def broken(self):
    if rank == 1 and self.done == 15:
        raise ValueError("no such thing")
    advance(self)
Trainer.advance = broken
"""
WRITES_SLOWLY = """
def slowly(write):
    def written(*args, **kwargs):
        time.sleep(0.5)
        return write(*args, **kwargs)
    return written
fit.write_checkpoint, RunFolder.commit = slowly(write), slowly(commit)
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `python -m simclr_spec.train FOLDER...` in several processes, `change`d before."""
    started: list[subprocess.Popen[str]] = []

    def begin(*folders: RunFolder, change: str = "", world: int = 2) -> list[subprocess.Popen[str]]:
        meeting = {"SIMCLR_SPEC_MEETING": str(tmp_path / f"meeting{len(started)}"), "WORLD_SIZE": str(world)}
        variables = runs.environment(SIMCLR_SPEC_CHECKPOINT_STEPS="10", SIMCLR_SPEC_THREADS="1", **meeting)
        command = [sys.executable, "-c", MAIN.format(change), *(str(folder.path) for folder in folders)]
        ranks = [{**variables, "RANK": str(rank)} for rank in range(world)]
        started.extend(subprocess.Popen(command, env=rank, stderr=subprocess.PIPE, text=True) for rank in ranks)
        return started[-world:]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def ended(processes: list[subprocess.Popen[str]]) -> list[int]:
    """Their exit codes."""
    said = [process.communicate(timeout=runs.PATIENCE)[1] for process in processes]
    print(*said)
    return [process.returncode for process in processes]


def trains(folder: RunFolder) -> bool:
    attempts = folder.attempts()
    return bool(attempts) and attempts[-1].checkpoint.exists()


def record_of(folder: RunFolder) -> dict[str, Any]:
    record: dict[str, Any] = read_json(folder.attempts()[-1].record)
    return record


def test_the_rank_that_fails_says_why(store: Store, start: Start) -> None:
    folder = prepare(store, "supervised", **LONG)
    assert ended(start(folder, change=RAISES, world=3)) == [1, 1, 1]
    record = record_of(folder)
    assert (record["state"], record["error"], record["failure"]) == ("failed", "rank 1: ValueError: no such thing", "error")
    log = folder.attempts()[-1].log.read_text()
    assert log.count("Traceback") == 1
    assert log.endswith("ValueError: no such thing\n")
    assert "peer" not in log, "what the others say is no cause"
    assert folder.state() == "failed"


@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_rank_takes_the_others_along(killed: int, store: Store, start: Start) -> None:
    folder = prepare(store, "supervised", **LONG | {"train_steps": 100_000})
    processes = start(folder)
    runs.wait_for(lambda: trains(folder))
    processes[killed].kill()
    assert ended(processes) == [-signal.SIGKILL if rank == killed else 1 for rank in range(2)]
    record = record_of(folder)
    assert (record["state"], record["failure"]) == ("failed", "killed")
    assert record["error"] == "another process of this Step died"
    assert "gloo" in folder.attempts()[-1].log.read_text()
    assert folder.is_free()


def test_one_that_is_asked_to_stop_stops_all_and_none_leaves_early(store: Store, tmp_path: Path, start: Start) -> None:
    options: dict[str, Any] = {**LONG, "train_steps": 60, "memory__enabled": True, "linear_head": True, "learning_rate": 0.01}
    folder = prepare(store, "pretrain", **options)
    processes = start(folder, change=WRITES_SLOWLY)
    runs.wait_for(lambda: trains(folder))
    processes[1].send_signal(signal.SIGUSR2)
    processes[1].wait(60)
    assert record_of(folder)["state"] == "interrupted"
    assert folder.attempts()[-1].log.read_text().endswith("interrupted\n")
    assert ended(processes) == [os.EX_TEMPFAIL, 0]
    assert folder.state() == "interrupted"
    whole = prepare(Store(tmp_path / "whole"), "pretrain", **options)
    for each in (folder, whole):
        assert ended(start(each)) == [0, 0]
    assert record_of(folder)["resumed_from"]["train_step"] >= 10
    assert folder.weights.read_bytes() == whole.weights.read_bytes()


def test_killed_between_outcomes_and_result_a_step_is_not_done_and_goes_on(store: Store, start: Start) -> None:
    folder = prepare(store, "supervised", **LONG | {"train_steps": 20})
    assert ended(start(folder, change="RunFolder.commit = lambda *_: os.kill(os.getpid(), 9)", world=1)) == [-signal.SIGKILL]
    (first,) = folder.attempts()
    assert first.outcomes.exists()
    assert (folder.done, folder.outcomes, read(folder)) == (False, None, {})
    assert ended(start(folder, world=1)) == [0]
    second = folder.attempts()[-1]
    assert folder.outcomes == second.outcomes
    assert second.outcomes.read_bytes() == first.outcomes.read_bytes()
    assert read_json(folder.result)["metrics"].items() >= metrics(read(folder)).items()


def test_none_leaves_before_the_result_is_there(store: Store, start: Start) -> None:
    folder = prepare(store, "supervised", **LONG | {"train_steps": 3})
    processes = start(folder, change=WRITES_SLOWLY)
    processes[1].wait(runs.PATIENCE)
    assert folder.done
    assert record_of(folder)["state"] == "done"
    assert read_json(folder.result)["metrics"].items() >= metrics(read(folder)).items()
    assert len(read(folder)[""].labels) == LONG["test_images"]
    assert ended(processes) == [0, 0]


def test_a_group_outlives_its_steps_but_no_failure(store: Store, start: Start) -> None:
    short = LONG | {"train_steps": 3}
    first, second = prepare(store, "supervised", **short), prepare(store, "pretrain", **short)
    bad = prepare(store, "supervised", **short, learning_rate=1e30, learning_rate_scaling="none", warmup=0.0)
    last = prepare(store, "supervised", **short, seed=1)
    assert ended(start(first, second, bad, last)) == [1, 1]
    assert (first.done, second.done, bad.state(), last.state()) == (True, True, "failed", "new")
    assert read_json(second.result)["environment"]["world_size"] == 2
    record = record_of(bad)
    assert record["failure"] is None, "it would come again"
    assert record["error"].startswith("the loss became")
