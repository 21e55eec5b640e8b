"""One warm worker per slot, or one for several, each a job of submitit's local executor, fed through a socket."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from simclr_spec.core.environment import JOB
from simclr_spec.dispatch.local import submitit_jobs
from simclr_spec.dispatch.local.gpus import Gpus
from simclr_spec.dispatch.local.slots import Slot
from simclr_spec.dispatch.task import Task

REAP_SECONDS = 5.0
"""For processes that have said good-bye to leave."""


@dataclass(eq=False, kw_only=True)
class Worker:
    """One process of a slot, or of several. `idle` once it can begin and has nothing to do."""

    number: int
    slots: tuple[Slot, ...]
    job: Any
    channel: socket.socket | None = None
    pid: int | None = None
    """its process group's, too"""
    trainer: int | None = None
    """the process that its last task's attempt names"""
    started: bool = False
    task: Task | None = None
    retired: bool = False
    """it was told to leave"""
    log_size: int = 0
    """of its stderr when it was given its task"""

    @property
    def idle(self) -> bool:
        return self.started and self.task is None and not self.retired

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
        self._leaving: list[Worker] = []
        self.gpus = Gpus.of(self.slots)

    def free_slots(self) -> list[Slot]:
        taken = {slot for worker in self.workers for slot in worker.slots}
        return [slot for slot in self.slots if slot not in taken]

    def claim(self, size: int) -> list[Slot]:
        """So many free slots, whose GPUs are ours from now on; none where there are too few, so that no two runs wait for
        each other."""
        claimed: list[Slot] = []
        for slot in self.free_slots():
            if len(claimed) < size and self.gpus.take(slot):
                claimed.append(slot)
        if len(claimed) == size:
            return claimed
        for slot in claimed:
            self.gpus.release(slot)
        return []

    def start(self, slots: Sequence[Slot]) -> Worker:
        """Begin a worker in slots that were claimed; it reports itself idle when it is ready."""
        self._started += 1
        folder = self.folder / str(self._started)
        where = f"slot{'s' * (len(slots) > 1)} {', '.join(str(slot.number) for slot in slots)}"
        locks = [self.gpus.names[slot] for slot in slots if slot.gpu is not None]
        job = submitit_jobs.start(
            folder, slots, locks, {**self.environment, JOB: f"local, {where}"}, self._address, self._started
        )
        worker = Worker(number=self._started, slots=tuple(slots), job=job)
        self.workers.append(worker)
        return worker

    def retire(self, worker: Worker) -> None:
        """Have an idle worker leave its slots."""
        self._say(worker, None)
        worker.retired = True

    def give(self, worker: Worker, task: Task) -> None:
        """Have an idle worker execute a run folder."""
        worker.task = task
        with contextlib.suppress(FileNotFoundError):
            worker.log_size = worker.job.paths.stderr.stat().st_size
        self._say(worker, str(task.folder.path.absolute()))

    def _say(self, worker: Worker, folder: str | None) -> None:
        assert worker.channel is not None
        with contextlib.suppress(ConnectionError):  # it died: its `gone` is on the way
            worker.channel.sendall(json.dumps(folder).encode() + b"\n")

    def wait(self, seconds: float) -> list[Event]:
        """What happened, at once when something did."""
        events = []
        for key, _ in self._selector.select(seconds):
            if key.fileobj is self._listener:
                self._accept()
            else:
                events += self._hear(key.data)
        self._clear_up()
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
                _kill(pid)
        if not data:
            self._selector.unregister(caller.channel)
            caller.channel.close()
            return [] if caller.worker is None else [self._gone(caller.worker)]
        if caller.worker is None:
            return []
        caller.worker.started |= bool(lines)
        events = []
        for line in lines:
            _, _, told = line.decode().partition(" ")
            trainer, _, word = told.partition(" ")
            caller.worker.trainer = int(trainer) if trainer else None
            events.append(Event(caller.worker, "idle", word))
        return events

    def _gone(self, worker: Worker) -> Event:
        self.workers.remove(worker)
        self._leaving.append(worker)
        for slot in worker.slots:
            self.gpus.release(slot)
        return Event(worker, "gone")

    def _clear_up(self) -> None:
        """What the processes that have left have begun and left behind."""
        for worker in [worker for worker in self._leaving if worker.job.done()]:
            self._leaving.remove(worker)
            _kill(worker.pid)

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
        """Whatever has begun in the slots."""
        for worker in self.workers:
            _kill(worker.pid)

    @property
    def empty(self) -> bool:
        """No process is left."""
        return not self.workers and not self._leaving

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


def _kill(group: int | None) -> None:
    if group is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
