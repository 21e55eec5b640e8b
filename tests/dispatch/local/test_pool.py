"""Workers and their connection, in real processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from simclr_spec.dispatch.local.pool import Caller, Event, Pool, Worker
from simclr_spec.dispatch.local.slots import Slot
from simclr_spec.dispatch.task import Task
from simclr_spec.plan import compile
from simclr_spec.store.jobs import job_folder
from simclr_spec.store.layout import RunFolder, Store
from tests import runs


def test_workers_that_report_themselves_after_the_hang_up_leave_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a temporary folder whose path is too long for a socket, too."""
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with job_folder(Store(tmp_path)) as folder:
        pool = Pool(folder, [Slot(0)], {"OMP_NUM_THREADS": "1"})
        pool.start(pool.slots)
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
    here = dict(os.environ)
    with job_folder(Store(tmp_path)) as folder:
        pool = Pool(folder, [Slot(n, gpu) for n, gpu in enumerate(gpus)], {"OMP_NUM_THREADS": "3"})
        try:
            begun = [pool.start([slot]) for slot in pool.slots]
            while not all(worker.pid for worker in begun):
                pool.wait(1.0)
            environments = [Path(f"/proc/{worker.pid}/environ").read_bytes().split(b"\0") for worker in begun]
        finally:
            pool.close()
        for gpu, environment in zip(gpus, environments, strict=True):
            assert f"CUDA_VISIBLE_DEVICES={'' if gpu is None else gpu}".encode() in environment
            assert b"OMP_NUM_THREADS=3" in environment
    assert dict(os.environ) == here
    assert not (tmp_path / ".jobs").exists()
    assert all(not Path(f"/proc/{worker.pid}").exists() for worker in begun)


def test_a_signal_that_comes_too_late_for_its_step_leaves_the_worker_there(tmp_path: Path) -> None:
    """A Step that is to end is asked again and again: the last time perhaps when it has ended, and the next is on its way."""
    step = compile(["quickstart"]).steps[0]
    with job_folder(Store(tmp_path)) as folder:
        pool = Pool(folder, [Slot(0)], {"OMP_NUM_THREADS": "1"})
        worker = pool.start(pool.slots)
        try:
            runs.wait_for(lambda: pool.wait(1.0) and worker.idle)
            os.kill(worker.pid or 0, signal.SIGTERM)
            pool.give(worker, Task(step=step, folder=RunFolder(tmp_path / "none")))
            events: list[Event] = []
            runs.wait_for(lambda: events.extend(pool.wait(1.0)) or events)  # type: ignore[func-returns-value]
            assert [event.what for event in events] == ["idle"]
            assert "is not a run folder" in events[0].word
        finally:
            pool.close()


def test_a_worker_that_was_given_up_is_killed(tmp_path: Path) -> None:
    """Refused alone, it would take its runner for dead, and the socket of a dead runner it deletes."""
    pool = Pool(tmp_path, [], {})
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as late, socket.socket(socket.AF_UNIX) as caller:
        caller.connect(pool._address)
        caller.sendall(f"7 {late.pid}\n".encode())
        try:
            assert [event for _ in range(2) for event in pool.wait(5.0)] == []
            assert late.wait(10) == -signal.SIGKILL
            assert caller.recv(1) == b""
        finally:
            late.kill()
    pool.close()


def test_a_worker_that_does_not_leave_is_killed_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simclr_spec.dispatch.local.pool.REAP_SECONDS", 2.0)
    with job_folder(Store(tmp_path)) as folder:
        pool = Pool(folder, [Slot(0)], {"OMP_NUM_THREADS": "1"})
        worker = pool.start(pool.slots)
        try:
            runs.wait_for(lambda: pool.wait(1.0) or worker.pid)
            os.kill(worker.pid or 0, signal.SIGSTOP)
        finally:
            pool.close()
        assert not pool.workers, "its end was waited for"
        runs.wait_for(lambda: not Path(f"/proc/{worker.pid}").exists(), 10)


BEGINS_ANOTHER = """
import os, subprocess
setsid = os.setsid
def setsid_and_begin():
    setsid()
    with open({!r}, "w") as file:
        print(subprocess.Popen(["sleep", "1000"]).pid, file=file, flush=True)
os.setsid = setsid_and_begin
"""


def test_what_a_killed_worker_has_begun_is_killed_too(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(BEGINS_ANOTHER.format(str(tmp_path / "pid")))
    with job_folder(Store(tmp_path)) as folder:
        pool = Pool(folder, [Slot(0)], {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(tmp_path)})
        worker = pool.start(pool.slots)
        try:
            runs.wait_for(lambda: pool.wait(1.0) or worker.pid)
            begun = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}")
            assert begun.exists()
            runs.kill(worker.pid or 0)
            runs.wait_for(lambda: (pool.wait(0.1), pool.empty)[1], 20)
            runs.wait_for(lambda: not begun.exists() or "(sleep) Z" in (begun / "stat").read_text(), 10)
        finally:
            pool.close()


def test_a_caller_may_be_silent_or_say_all_at_once(tmp_path: Path) -> None:
    """A stranger on the socket holds nobody up; a worker's first word and the next may come together, or in pieces."""
    pool = Pool(tmp_path, [], {})
    worker = Worker(number=7, slots=(Slot(0),), job=SimpleNamespace(done=lambda: False))
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
