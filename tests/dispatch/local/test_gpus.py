"""No GPU is used by two runs at a time. Made-up GPUs will do: what counts is how they are called."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from simclr_spec.dispatch.board import Board
from simclr_spec.dispatch.local import gpus
from simclr_spec.dispatch.local.gpus import Gpus, share
from simclr_spec.dispatch.local.slots import Slot
from simclr_spec.dispatch.run import run
from simclr_spec.dispatch.task import Task
from simclr_spec.language.runner import Local, Rule
from simclr_spec.plan import compile
from simclr_spec.store.layout import Store
from tests import runs
from tests.dispatch.silent import Silent

OTHER = """
import sys
from simclr_spec.dispatch.local.gpus import Gpus
from simclr_spec.dispatch.local.slots import Slot
gpus = Gpus.of([slot := Slot(0, sys.argv[1])])
assert gpus.take(slot)
print("taken", flush=True)
sys.stdin.read()
"""


def mine(name: str) -> str:
    """A GPU that no test beside this one uses."""
    return f"GPU-{name}-{os.getpid()}"


@pytest.fixture(autouse=True)
def tidy() -> Iterator[None]:
    yield
    for name in gpus.FOLDER.glob(f"*-{os.getpid()}"):
        name.unlink()


def other(gpu: str) -> subprocess.Popen[str]:
    """Another run, which uses the GPU until its input ends."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", OTHER, gpu], text=True, **pipes)  # type: ignore[call-overload]
    assert process.stdout.readline() == "taken\n"
    return process  # type: ignore[no-any-return]


def test_a_gpu_is_one_runs_until_its_last_process_has_left() -> None:
    slot = Slot(0, mine("a"))
    ours, theirs = Gpus.of([slot]), Gpus.of([slot])
    assert ours.take(slot)
    worker = share(ours.names[slot])
    assert not theirs.take(slot)
    ours.release(slot)
    assert not theirs.take(slot), "its worker is still there"
    worker.close()
    assert theirs.take(slot)
    theirs.release(slot)


def test_who_uses_a_gpu_is_known_and_a_killed_run_uses_none() -> None:
    slot = Slot(0, mine("b"))
    ours = Gpus.of([slot, Slot(1, mine("c"))])
    with other(mine("b")) as process:
        assert ours.others() == {slot: process.pid}
        assert not ours.take(slot)
        process.kill()
    assert ours.others() == {}
    assert ours.take(slot)
    assert ours.others() == {}, "that is us"
    ours.release(slot)


def test_cores_are_not_locked() -> None:
    assert Gpus.of([Slot(0), Slot(1)]).names == {}


def test_a_gpu_has_one_name_however_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = "GPU 0: NVIDIA H100 (UUID: GPU-1aa)\\nGPU 1: NVIDIA H100 (UUID: GPU-2bb)\\n"
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\nprintf '{table}'\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    slots = [Slot(0, 1), Slot(1, "GPU-2"), Slot(2, "GPU-2bb"), Slot(3, "MIG-GPU-2bb/1/0"), Slot(4, 7)]
    assert [*Gpus.of(slots).names.values()] == ["GPU-2bb", "GPU-2bb", "GPU-2bb", "MIG-GPU-2bb_1_0", "7"]


def test_all_users_share_the_locks_and_nobody_is_led_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "FOLDER", tmp_path / "locks")
    before = os.umask(0o077)
    try:
        share("one").close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "locks").stat().st_mode) == 0o1777
    assert stat.S_IMODE((tmp_path / "locks" / "one").stat().st_mode) == 0o666
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "locks" / "two").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic link"):
        share("two")
    monkeypatch.setattr(gpus, "FOLDER", tmp_path / "linked")
    (tmp_path / "linked").symlink_to(tmp_path / "locks")
    with pytest.raises(OSError, match="Not a directory"):
        share("one")


class Whys(Silent):
    def __init__(self) -> None:
        super().__init__()
        self.whys: list[str] = []

    def changed(self, board: Board, task: Task) -> None:
        super().changed(board, task)
        self.whys += [task.why] if task.why else []


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_says_for_which_gpu_it_waits_and_begins_when_it_is_free(
    processes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Step of two waits for both, and keeps the one that is free from nobody meanwhile."""
    wanted = [mine("d"), mine("e")][:processes]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(wanted))
    (tmp_path / "tiny.toml").write_text(runs.SPEC)
    plan = compile([str(tmp_path / "tiny.toml")], sets=runs.sets("train_steps=1"))
    step = next(step for step in plan.steps if step.kind == "supervised")
    runner, watcher = Local(rules=(Rule(when={"stage": "supervised"}, set={"processes": processes}),)), Whys()
    with other(wanted[0]) as process:

        def leave() -> None:
            runs.wait_for(lambda: watcher.whys)
            time.sleep(1.0)
            if processes == 2:
                other(wanted[1]).communicate("")
            process.communicate("")

        leaving = threading.Thread(target=leave)
        leaving.start()
        outcome = run(plan, [step], Store(tmp_path / "runs"), runner, watcher, seconds={step.fingerprint: 1.0})
        leaving.join()
        assert watcher.whys == [f"waits for GPU {wanted[0]}, which process {process.pid} uses"]
    assert [state for _, state in watcher.seen] == ["waiting", "running", "done"]
    assert len(outcome.done) == 1
