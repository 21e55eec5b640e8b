"""Workers and their connection, in real processes."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from simclr_spec.dispatch.local.pool import Caller, Event, Pool, Worker
from simclr_spec.dispatch.local.slots import Slot
from simclr_spec.store.jobs import job_folder
from simclr_spec.store.layout import Store
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


def test_a_worker_that_does_not_leave_is_killed_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simclr_spec.dispatch.local.pool.REAP_SECONDS", 2.0)
    with job_folder(Store(tmp_path)) as folder:
        pool = Pool(folder, [Slot(0)], {"OMP_NUM_THREADS": "1"})
        worker = pool.start(pool.slots[0])
        try:
            runs.wait_for(lambda: pool.wait(1.0) or worker.pid)
            os.kill(worker.pid or 0, signal.SIGSTOP)
        finally:
            pool.close()
        assert not pool.workers, "its end was waited for"
        runs.wait_for(lambda: not Path(f"/proc/{worker.pid}").exists(), 10)


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
