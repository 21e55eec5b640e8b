"""Slots, workers and the order of Steps, in real processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from simclr_spec.core.errors import SimclrSpecError, UsageError
from simclr_spec.core.files import read_json
from simclr_spec.dispatch.board import Board
from simclr_spec.dispatch.local.pool import Caller, Event, Pool, Worker
from simclr_spec.dispatch.local.slots import Slot, slots
from simclr_spec.dispatch.run import Outcome, run
from simclr_spec.dispatch.task import Task
from simclr_spec.language.runner import Debug, Local, Runner
from simclr_spec.plan import compile
from simclr_spec.store.jobs import job_folder
from simclr_spec.store.layout import RunFolder, Store
from tests import runs

HOLD = """
import time, pathlib
from simclr_spec.store.jobs import job_folder
from simclr_spec.store.layout import RunFolder
with RunFolder(pathlib.Path({!r})).leased():
    time.sleep(2)
"""


class Silent:
    """Nobody looks on, but all that changes is kept."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def changed(self, _board: Board, task: Task) -> None:
        self.seen.append((task.step.kind, task.state))

    def tick(self, board: Board) -> None:
        pass


@pytest.mark.parametrize(
    ("visible", "runner", "expected"),
    [
        ("2,5", Local(), [2, 5]),
        ("GPU-8a1b, MIG-77", Local(), ["GPU-8a1b", "MIG-77"]),
        ("3,-1,4", Local(), [3]),
        ("2,5", Local(slots=1), [2]),
        ("2,5", Local(slots=(7,)), [7]),
        ("", Local(slots=3), [None, None, None]),
        ("", Local(threads=1000), [None]),
    ],
)
def test_slots(monkeypatch: pytest.MonkeyPatch, visible: str, runner: Local, expected: list[int | str | None]) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [slot.gpu for slot in slots(runner)] == expected


def test_more_slots_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    with pytest.raises(UsageError, match="3 slots, but 2 GPUs"):
        slots(Local(slots=3))


def test_listed_gpus_are_refused_where_there_are_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="this machine shows none"):
        slots(Local(slots=(0, 1)))


def test_workers_that_report_themselves_after_the_hang_up_leave_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a temporary folder whose path is too long for a socket, too."""
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with job_folder(Store(tmp_path)) as folder:
        pool = Pool(folder, [Slot(0)], {"OMP_NUM_THREADS": "1"})
        pool.start(pool.slots[0])
        end = time.monotonic() + runs.PATIENCE
        while not any(isinstance(key.data, Caller) for key in pool._selector.get_map().values()):
            assert time.monotonic() < end
            (ready,) = pool._selector.select(5)
            if ready[0].fileobj is pool._listener:
                pool._accept()  # but not heard yet
        pool.hang_up()
        while pool.workers:
            assert time.monotonic() < end
            pool.wait(1)
        pool.close()


def test_each_slot_sees_its_own_gpu_and_threads(tmp_path: Path) -> None:
    """submitit by itself gives every job GPU 0."""
    gpus: list[int | str | None] = [2, 5, "GPU-8a1b", None]
    with job_folder(Store(tmp_path)) as folder:
        pool = Pool(folder, [Slot(n, gpu) for n, gpu in enumerate(gpus)], {"OMP_NUM_THREADS": "1"})
        try:
            begun = [pool.start(slot) for slot in pool.slots]
            while not all(worker.pid for worker in begun):
                pool.wait(1.0)
            environments = [Path(f"/proc/{worker.pid}/environ").read_bytes().split(b"\0") for worker in begun]
        finally:
            pool.close()
        for gpu, environment in zip(gpus, environments, strict=True):
            assert f"CUDA_VISIBLE_DEVICES={'' if gpu is None else gpu}".encode() in environment
            assert b"OMP_NUM_THREADS=1" in environment
        assert "OMP_NUM_THREADS" not in os.environ or os.environ["OMP_NUM_THREADS"] == "1"
    assert not (tmp_path / ".jobs").exists()
    assert all(not Path(f"/proc/{worker.pid}").exists() for worker in begun)


def test_what_a_dead_run_left_in_jobs_is_removed_and_a_living_one_is_not(tmp_path: Path) -> None:
    dead, living = RunFolder(tmp_path / ".jobs" / "1-1"), RunFolder(tmp_path / ".jobs" / "1-2")
    dead.path.mkdir(parents=True)
    with living.leased(), job_folder(Store(tmp_path)):
        assert not dead.path.exists()
        assert living.path.exists()


def test_workers_that_cannot_start_end_the_run_with_their_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "torch.py").write_text("raise ImportError('libcudart is not here')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'broken'}:{os.environ.get('PYTHONPATH', '')}")
    with pytest.raises(SimclrSpecError, match=r"do not start: ImportError: libcudart is not here \(see .*err\)"):
        _run(tmp_path, Local(slots=1), Silent())
    assert list((tmp_path / "runs" / ".jobs").glob("*/*/*_log.err"))


def _run(folder: Path, runner: Runner, watcher: Silent, *more: str) -> Outcome:
    (folder / "tiny.toml").write_text(runs.SPEC)
    plan = compile([str(folder / "tiny.toml")], sets=runs.sets(*more))
    seconds = {step.fingerprint: 1.0 for step in plan.steps}
    return run(plan, plan.steps, Store(folder / "runs"), runner, watcher, seconds=seconds)


@pytest.mark.parametrize("asked", [False, True])
def test_what_the_runner_says_of_determinism_reaches_its_workers(asked: bool, tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(runs.SPEC)
    plan = compile([str(tmp_path / "tiny.toml")], sets=runs.sets("train_steps=1"))
    steps = [step for step in plan.steps if step.kind == "supervised"]
    runner = Local(slots=1, deterministic=asked)
    outcome = run(plan, steps, Store(tmp_path / "runs"), runner, Silent(), seconds={steps[0].fingerprint: 1.0})
    assert read_json(outcome.done[0].folder.result)["environment"]["deterministic"] is asked


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


def test_the_debug_runner_works_in_this_process(tmp_path: Path) -> None:
    watcher = Silent()
    outcome = _run(tmp_path, Debug(), watcher, "train_steps=1")
    assert len(outcome.done) == 5
    assert watcher.seen[:2] == [("pretrain", "running"), ("pretrain", "done")]
    record = read_json(outcome.done[0].folder.attempts()[0].record)
    assert record["pid"] == os.getpid()


def test_a_step_longer_than_the_timeout_fails_and_keeps_its_checkpoint(tmp_path: Path) -> None:
    more = ("pretrain.train_steps=1000000", "supervised.train_steps=1")
    outcome = _run(tmp_path, Local(slots=1, timeout_minutes=1 / 60), Silent(), *more)
    (failed,) = outcome.failed
    assert failed.step.kind == "pretrain"
    assert "the runner's timeout of 0.0166667 minutes" in failed.why
    assert failed.folder.attempts()[-1].checkpoint.exists()
    assert failed.folder.state() == "failed"
    assert [task.step.kind for task in outcome.done] == ["supervised"]


def test_a_caller_may_be_silent_or_say_all_at_once(tmp_path: Path) -> None:
    """A stranger on the socket holds nobody up; a worker's first word and the next may come together, or in pieces."""
    pool = Pool(tmp_path, [], {})
    worker = Worker(number=7, slot=Slot(0), job=SimpleNamespace(done=lambda: False))
    pool.workers.append(worker)
    with socket.socket(socket.AF_UNIX) as silent, socket.socket(socket.AF_UNIX) as caller:
        silent.connect(pool._address)
        caller.connect(pool._address)
        caller.sendall(b"7 12")
        assert [event for _ in range(4) for event in pool.wait(0.05)] == []
        caller.sendall(b"34\nidle\nid")
        assert pool.wait(5.0) == [Event(worker, "idle")]
        assert (worker.pid, worker.idle) == (1234, True)
        caller.sendall(b"le\n")
        assert pool.wait(5.0) == [Event(worker, "idle")]
    pool.workers.clear()
    pool._selector.close()
    pool._listener.close()
    pool._temporary.cleanup()


@pytest.mark.parametrize("runner", [Local(slots=1), Debug()])
def test_a_step_in_other_hands_is_followed_and_not_run_twice(tmp_path: Path, runner: Runner) -> None:
    """A worker that survived its runner holds the lease: the same run again waits, and takes the Step up when it is free."""
    (tmp_path / "tiny.toml").write_text(runs.SPEC)
    plan = compile([str(tmp_path / "tiny.toml")], sets=runs.sets("train_steps=1"))
    step = next(step for step in plan.steps if step.kind == "supervised")
    folder = Store(tmp_path / "runs").folder(step.kind, step.label, step.fingerprint)
    other = subprocess.Popen([sys.executable, "-c", HOLD.format(str(folder.path))])
    runs.wait_for(folder.is_leased)
    watcher = Silent()
    outcome = run(plan, [step], Store(tmp_path / "runs"), runner, watcher, seconds={step.fingerprint: 1.0})
    assert other.wait() == 0
    assert len(outcome.done) == 1
    assert len(folder.attempts()) == 1
    assert watcher.seen == [("supervised", state) for state in ("elsewhere", "waiting", "running", "done")]


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


def test_a_killed_worker_fails_its_step_and_the_rest_goes_on(tmp_path: Path) -> None:
    process = runs.start(tmp_path, "--set", "pretrain.train_steps=100000")
    runs.wait_for(lambda: runs.working(tmp_path, "pretrain"))
    os.kill(runs.working(tmp_path, "pretrain") or 0, signal.SIGKILL)
    said, _ = process.communicate(timeout=runs.PATIENCE)
    assert process.returncode == 1
    assert "1 done, 1 failed, 3 not run" in said
    assert "✗ pretrain r18-1x-digits-s0: its process ended without a word" in said
    (folder,) = [folder for folder in Store(tmp_path / "runs").folders() if folder.path.parent.name == "pretrain"]
    assert folder.state() == "failed"
