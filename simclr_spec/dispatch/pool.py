"""One warm worker per slot, each a job of submitit's local executor, fed through a socket.

What submitit leaves to us: it starts every job at once (so one job per slot, and a queue of our own above), gives every
job GPU 0, ends a job after 2 minutes, names jobs by process ids that come again (so a folder for each), and believes a job
done when its controller is (so the connection tells whether a worker lives, and the store how its Step ended).
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from simclr_spec.dispatch.slots import Slot
from simclr_spec.dispatch.worker import work
from simclr_spec.store.layout import RunFolder, Store

NEVER = 60 * 24 * 3650  # minutes; a Step's own limit is the queue's business
REAP_SECONDS = 5.0  # for processes that have said good-bye to leave


@dataclass(eq=False)
class Worker:
    """One process of a slot. `idle` once it has imported torch and has nothing to do."""

    number: int
    slot: Slot
    folder: Path
    job: Any
    channel: socket.socket | None = None
    pid: int | None = None
    started: bool = False
    task: Any = None
    told_at: int = 0  # size of its stderr when it was given its task

    @property
    def idle(self) -> bool:
        return self.started and self.task is None

    def stderr(self, since: int = 0) -> str:
        """What the process has written on standard error after the first `since` bytes, submitit's own chatter left out."""
        try:
            text = self.job.paths.stderr.read_bytes()[since:].decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(line for line in text.splitlines() if not line.startswith("submitit ")).strip()


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
        with _shielded(), _environment({**self.environment, "SIMCLR_SPEC_JOB": f"local, slot {slot.number}"}):
            job = _executor(folder, slot).submit(work, self._address, self._started)
        worker = Worker(self._started, slot, folder, job)
        self.workers.append(worker)
        return worker

    def give(self, worker: Worker, task: Any, folder: Path) -> None:
        """Have an idle worker execute a run folder."""
        assert worker.channel is not None
        worker.task = task
        with contextlib.suppress(FileNotFoundError):
            worker.told_at = worker.job.paths.stderr.stat().st_size
        with contextlib.suppress(ConnectionError):  # it died: its `gone` is on the way
            worker.channel.sendall(json.dumps(str(folder.absolute())).encode() + b"\n")

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
                data = b""  # given up already; it stops when nobody is there
        if not data:
            self._selector.unregister(caller.channel)
            caller.channel.close()
            return [] if caller.worker is None else [self._gone(caller.worker)]
        if caller.worker is None:
            return []
        caller.worker.started |= bool(lines)
        return [Event(caller.worker, "idle") for _ in lines]

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
        while (self.workers or not all(job.done() for job in self._leaving)) and time.monotonic() < end:
            self.wait(0.05)


@contextlib.contextmanager
def job_folder(store: Store) -> Iterator[Path]:
    """<store>/.jobs/<run> for submitit's files, removed at the end unless the run raises; what dead runs left goes too."""
    above = store.path / ".jobs"
    above.mkdir(mode=0o700, exist_ok=True)
    for old in [old for old in above.iterdir() if not old.name.startswith(".")]:
        with RunFolder(old).leased() as dead:
            if dead:
                shutil.rmtree(old, ignore_errors=True)
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    hidden, folder = RunFolder(above / f".{name}"), above / name
    with hidden.leased():
        hidden.path.rename(folder)  # seen once it is leased, else another run could take it for dead
        yield folder
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        above.rmdir()


def under_way(store: Store) -> bool:
    """Whether some run goes on in this store, though no Step may be running at the moment."""
    return any(RunFolder(folder).is_leased() for folder in (store.path / ".jobs").glob("*"))


def _executor(folder: Path, slot: Slot) -> Any:
    """A fresh executor per job: its parameters and its folder are the slot's own."""
    from submitit.local.local import LocalExecutor

    executor = LocalExecutor(folder, max_num_timeout=0)
    executor.update_parameters(timeout_min=NEVER, gpus_per_node=0 if slot.gpu is None else 1, tasks_per_node=1)
    if slot.gpu is not None:
        executor.parameters["visible_gpus"] = [slot.gpu]  # update_parameters refuses ids that are text: UUIDs, MIG instances
    return executor


@contextlib.contextmanager
def _shielded() -> Iterator[None]:
    """Processes begun here never see Ctrl-C or a closing terminal: stopping them is our work. We see both, a little later."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """submitit hands its own environment on to its jobs."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
