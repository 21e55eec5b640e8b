"""One warm worker per slot, each a job of submitit's local executor, fed through a socket."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from simclr_spec.core.environment import JOB
from simclr_spec.dispatch.local import submitit_jobs
from simclr_spec.dispatch.local.slots import Slot
from simclr_spec.dispatch.task import Task

REAP_SECONDS = 5.0
"""For processes that have said good-bye to leave."""


@dataclass(eq=False, kw_only=True)
class Worker:
    """One process of a slot. `idle` once it has imported torch and has nothing to do."""

    number: int
    slot: Slot
    job: Any
    channel: socket.socket | None = None
    pid: int | None = None
    started: bool = False
    task: Task | None = None
    log_size: int = 0
    """of its stderr when it was given its task"""

    @property
    def idle(self) -> bool:
        return self.started and self.task is None

    def last_words(self) -> str:
        """What it has written on standard error since it was given its task."""
        return submitit_jobs.stderr(self.job, self.log_size)


@dataclass(eq=False)
class Caller:
    """The other end of a connection; which worker it is, its first line tells."""

    channel: socket.socket
    worker: Worker | None = None
    heard: bytes = b""


@dataclass(frozen=True)
class Event:
    """A worker is `idle` (it has started, or ended its task) or `gone`."""

    worker: Worker
    what: Literal["idle", "gone"]
    word: str = ""
    """what went wrong with the task that it ended, in a line"""


@dataclass
class Pool:
    """The slots and their workers; submitit's files lie in `folder`."""

    folder: Path
    slots: list[Slot]
    environment: Mapping[str, str]
    workers: list[Worker] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Not in the store: a socket's path may have 107 bytes only, and not every shared file system has sockets.
        above = None if len(tempfile.gettempdir()) < 70 else "/tmp"
        self._temporary = tempfile.TemporaryDirectory(prefix="simclr-spec-", dir=above, ignore_cleanup_errors=True)
        self._address = os.path.join(self._temporary.name, "socket")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self._address)
        self._listener.listen()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._started = 0
        self._leaving: list[Any] = []

    def free_slots(self) -> list[Slot]:
        taken = {worker.slot.number for worker in self.workers}
        return [slot for slot in self.slots if slot.number not in taken]

    def start(self, slot: Slot) -> Worker:
        """Begin a worker in the slot; it reports itself idle when it is ready."""
        self._started += 1
        folder = self.folder / str(self._started)
        variables = {**self.environment, JOB: f"local, slot {slot.number}"}
        job = submitit_jobs.start(folder, slot, variables, self._address, self._started)
        worker = Worker(number=self._started, slot=slot, job=job)
        self.workers.append(worker)
        return worker

    def give(self, worker: Worker, task: Task) -> None:
        """Have an idle worker execute a run folder."""
        assert worker.channel is not None
        worker.task = task
        with contextlib.suppress(FileNotFoundError):
            worker.log_size = worker.job.paths.stderr.stat().st_size
        with contextlib.suppress(ConnectionError):  # it died: its `gone` is on the way
            worker.channel.sendall(json.dumps(str(task.folder.path.absolute())).encode() + b"\n")

    def wait(self, seconds: float) -> list[Event]:
        """What happened, at once when something did."""
        events = []
        for key, _ in self._selector.select(seconds):
            if key.fileobj is self._listener:
                self._accept()
            else:
                events += self._hear(key.data)
        lost = [worker for worker in self.workers if worker.channel is None and worker.job.done()]
        return events + [self._gone(worker) for worker in lost]

    def _accept(self) -> None:
        channel, _ = self._listener.accept()
        self._selector.register(channel, selectors.EVENT_READ, Caller(channel))

    def _hear(self, caller: Caller) -> list[Event]:
        try:
            data = caller.channel.recv(4096)
        except ConnectionError:
            data = b""
        *lines, caller.heard = (caller.heard + data).split(b"\n")
        if lines and caller.worker is None:
            number, pid = map(int, lines.pop(0).split())
            caller.worker = next((worker for worker in self.workers if worker.number == number), None)
            if caller.worker is not None:
                caller.worker.channel, caller.worker.pid = caller.channel, pid
                if self._listener.fileno() < 0:  # it is late: all have been asked to leave
                    self.hang_up()
            else:
                data = b""  # given up already; it must not learn so from the end of this, since it would delete the socket
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if not data:
            self._selector.unregister(caller.channel)
            caller.channel.close()
            return [] if caller.worker is None else [self._gone(caller.worker)]
        if caller.worker is None:
            return []
        caller.worker.started |= bool(lines)
        return [Event(caller.worker, "idle", line.decode().partition(" ")[2]) for line in lines]

    def _gone(self, worker: Worker) -> Event:
        self.workers.remove(worker)
        self._leaving.append(worker.job)
        return Event(worker, "gone")

    def hang_up(self) -> None:
        """Ask every worker to checkpoint and leave; a `gone` follows from each."""
        for worker in self.workers:
            if worker.channel is not None:
                with contextlib.suppress(OSError):
                    worker.channel.shutdown(socket.SHUT_WR)
        if self._listener.fileno() >= 0:
            self._selector.unregister(self._listener)
            self._listener.close()

    def kill(self) -> None:
        for worker in self.workers:
            if worker.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGKILL)

    @property
    def empty(self) -> bool:
        """No process is left."""
        return not self.workers and all(job.done() for job in self._leaving)

    def close(self) -> None:
        """Wait for the last processes to leave."""
        self.hang_up()
        self._wait_for_all(REAP_SECONDS)
        self.kill()
        self._wait_for_all(REAP_SECONDS)
        self._selector.close()
        self._temporary.cleanup()

    def _wait_for_all(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.empty and time.monotonic() < end:
            self.wait(0.05)
