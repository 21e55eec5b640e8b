"""Run folders: every path from one class, states read from files, atomic writes, leases.

<store>/<kind>/<label>-<fingerprint8>/
    step.json             the Step: fingerprint, kind, label, params, needs {role: folder of the parent, relative to the store}
    lease                 locked by the process that works on the Step, with its heartbeat; see lease.py
    queued.json           the scheduler's job that is to make the next attempt
    attempts/N/           record.json, log, metrics.jsonl, checkpoint.safetensors, weights.safetensors, result.json
    result.json           hard link to the winning attempt's result: exists exactly when the Step is done
    committed/            on a file system without links: the folder that an attempt renamed first, holding its result.json
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from shlex import quote
from typing import Any

from simclr_spec.core.files import read_json, write_atomic, write_json
from simclr_spec.core.states import State
from simclr_spec.store.lease import Holder, Lease

RESULT = "result.json"
"""In a run folder exactly when its Step is done; in an attempt's folder what that attempt would make it."""
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.EACCES, errno.EINVAL}
"""What link(2) says where a file system has no hard links, or no more of them."""
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY}
"""What rename(2) says of a folder whose new name a folder that is not empty has."""


@dataclass(frozen=True)
class Attempt:
    """One try at a Step, in a folder of its own."""

    path: Path

    @property
    def number(self) -> int:
        return int(self.path.name)

    @property
    def record(self) -> Path:
        """Who, when, where; on the end `state` is done, failed or interrupted, with `error` when failed."""
        return self.path / "record.json"

    @property
    def log(self) -> Path:
        return self.path / "log"

    @property
    def metrics(self) -> Path:
        """One JSON object a line: train_step, train_steps, epoch, loss, learning_rate, images_per_second, time."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.safetensors"

    @property
    def weights(self) -> Path:
        return self.path / "weights.safetensors"

    @property
    def result(self) -> Path:
        return self.path / RESULT

    def last_metrics(self) -> dict[str, Any] | None:
        """The last complete line of metrics.jsonl, read from its end."""
        try:
            with self.metrics.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
                lines = file.read().split(b"\n")[:-1]
        except FileNotFoundError:
            return None
        for line in reversed(lines):
            with contextlib.suppress(ValueError):
                value: dict[str, Any] = json.loads(line)
                return value
        return None


@dataclass(frozen=True)
class RunFolder:
    """All paths and the state of one Step."""

    path: Path

    @property
    def step(self) -> Path:
        return self.path / "step.json"

    @property
    def result(self) -> Path:
        return self.path / RESULT

    @property
    def lease(self) -> Path:
        return self.path / "lease"

    @property
    def queued(self) -> Path:
        return self.path / "queued.json"

    @property
    def done(self) -> bool:
        return self.result.exists()

    @property
    def weights(self) -> Path:
        """The winning attempt's weights."""
        return self.path / str(read_json(self.result, "weights")["weights"])

    def attempts(self) -> list[Attempt]:
        """Oldest first."""
        try:
            names = [name for name in os.listdir(self.path / "attempts") if name.isdigit()]
        except FileNotFoundError:
            return []
        return [Attempt(self.path / "attempts" / name) for name in sorted(names, key=int)]

    def new_attempt(self) -> Attempt:
        """The next free number; two processes never get the same."""
        number = max((a.number for a in self.attempts()), default=0) + 1
        while True:
            path = self.path / "attempts" / str(number)
            try:
                path.mkdir(parents=True)
                return Attempt(path)
            except FileExistsError:
                number += 1

    def commit(self, attempt: Attempt, result: dict[str, Any]) -> bool:
        """Make the Step done by this attempt; False when another attempt was first. Its weights must be on disk."""
        write_json(attempt.result, {**result, "weights": str(attempt.weights.relative_to(self.path))})
        taken = self.done or self._committed.exists()  # perhaps by a machine that sees the file system in another way
        won = not taken and place_first(attempt.result, self.result, self._committed)
        self.settle()
        return won

    def settle(self) -> None:
        """Without links: publish what was committed, which the process that did might not have lived to do."""
        committed = self._committed / RESULT
        if not self.done and committed.exists():
            write_atomic(self.result, committed.read_bytes())

    @property
    def _committed(self) -> Path:
        return self.path / "committed"

    def leased(self) -> contextlib.AbstractContextManager[bool]:
        """Hold the lease while working; False when another process holds it."""
        return Lease(self.lease).taken()

    def is_leased(self) -> bool:
        """True while some process works on the Step."""
        return Lease(self.lease).standing() == "held"

    def holder(self) -> Holder | None:
        """The process that works on the Step, or did until it was killed."""
        return Lease(self.lease).holder()

    def is_free(self) -> bool:
        """True when no process works on the Step for certain."""
        return Lease(self.lease).standing() == "free"

    def cancel(self) -> None:
        """Leave a mark for the run that may be about to begin the Step."""
        (self.path / "cancelled").touch()

    def cancelled_since(self, moment: float) -> bool:
        """True when the Step was cancelled after `moment` (time.time())."""
        try:
            return (self.path / "cancelled").stat().st_mtime > moment
        except FileNotFoundError:
            return False

    def queue(self, job: str) -> None:
        """Remember that a scheduler's job is to make the next attempt."""
        attempts = self.attempts()
        write_json(self.queued, {"job": job, "after_attempt": attempts[-1].number if attempts else 0})

    def state(self) -> State:
        """From the files alone."""
        if self.done:
            return "done"
        standing = Lease(self.lease).standing()
        if standing != "free":
            return "running" if standing == "held" else "unknown"
        attempts = self.attempts()
        queued = read_json(self.queued)
        if queued and queued.get("after_attempt") == (attempts[-1].number if attempts else 0):
            return "queued"
        if not attempts:
            return "new"
        record = read_json(attempts[-1].record)
        return "failed" if record and record.get("state") == "failed" else "interrupted"


def place_first(file: Path, name: Path, folder: Path) -> bool:
    """Give `file` the second name `name` if nothing has it; where there are no links, rename a folder with a copy to `folder`.

    Either is atomic and succeeds for one process only: False for any other. OSErrors name the path.
    """
    try:
        os.link(file, name)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _rename_first(file, folder)
    return True


def _rename_first(file: Path, folder: Path) -> bool:
    prepared = file.parent / folder.name
    prepared.mkdir(exist_ok=True)
    write_atomic(prepared / file.name, file.read_bytes())
    try:
        prepared.rename(folder)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        return False
    return True


@dataclass(frozen=True)
class Store:
    """A folder of run folders; private to the user when made here."""

    path: Path

    def folder(self, kind: str, label: str, fingerprint: str) -> RunFolder:
        return RunFolder(self.path / kind / f"{label}-{fingerprint[:8]}")

    @property
    def option(self) -> str:
        """` --store DIR`, with which a command finds this store; empty where it does by itself."""
        here = os.environ.get("SIMCLR_SPEC_STORE", "runs")
        return "" if self.path == Path(here) else f" --store {quote(str(self.path))}"

    def make(self) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def folders(self) -> Iterator[RunFolder]:
        """Every run folder, whatever its state."""
        try:
            kinds = sorted(entry.path for entry in os.scandir(self.path) if entry.is_dir() and not entry.name.startswith("."))
        except FileNotFoundError:
            return
        for kind in kinds:
            for entry in sorted(os.scandir(kind), key=lambda e: e.name):
                if entry.is_dir():
                    yield RunFolder(Path(entry.path))

    def hashes_of(self, folder: Path, *, labelled: bool = True) -> Path:
        """What is remembered of the files of a data set's folder, and of its digest; see content.py."""
        return self._of_images(folder, labelled, "{}.hashes")

    def look_of(self, folder: Path, *, labelled: bool = True) -> Path:
        """What the first look at a data set's folder remembers; see first_look.py."""
        return self._of_images(folder, labelled, "look-{}.json")

    def _of_images(self, folder: Path, labelled: bool, name: str) -> Path:
        known = sha256(os.fsencode(os.path.abspath(folder))).hexdigest()[:16]
        return self.path / ".data" / name.format(known + ("" if labelled else "-pile"))

    def prepare(self, kind: str, label: str, fingerprint: str, step: dict[str, Any]) -> RunFolder:
        """The Step's folder with its step.json, written once."""
        self.make()
        folder = self.folder(kind, label, fingerprint)
        folder.path.mkdir(parents=True, exist_ok=True)
        if not folder.step.exists():
            write_json(folder.step, step)
        return folder
