"""Every path in a store (those inside of a job array: arrays.py), and the state of a Step read from its files.

<store>/.plans/           all.jsonl: every plan that was run, one a line; <spec>.json: the last one of each spec
<store>/.jobs/<run>/      a run that goes on: its lease, and its jobs' files
<store>/.arrays/<array>/  job arrays of a cluster: array.json is written before one is submitted, receipt.json once its
                          id is known, batch.sh as it was submitted, N.log of element N, N.ends how often and why it began again
<store>/.data/            what is remembered of image folders: <digest>.hashes, look-<digest>.json; and of published weights:
                          weights-<digest>.json
<store>/<kind>/<label>-<fingerprint8>/
    step.json             the Step: fingerprint, kind, label, params, coordinates, needs {role: parent's fingerprint, folder}
    lease                 locked by the process that works on the Step, with its heartbeat; see lease.py
    queued.json           the scheduler's job that is to make the next attempt, or how that ended before it made one
    attempts/N/           record.json, log, metrics.jsonl, checkpoint.safetensors, weights.safetensors, outcomes.safetensors,
                          result.json
    result.json           hard link to the winning attempt's result: exists exactly when the Step is done
    cancelled             its time is when somebody wanted the Step to stop
    committed/            on a file system without links: the folder that an attempt renamed first, holding its result.json
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from shlex import quote
from typing import Any, Literal

from simclr_spec.core.files import read_json, write_atomic, write_json
from simclr_spec.core.states import State
from simclr_spec.core.times import now
from simclr_spec.data.splits import Splits
from simclr_spec.store.arrays import ArrayFolder, Queued
from simclr_spec.store.commit import place_first
from simclr_spec.store.lease import Holder, Lease

Failure = Literal["killed", "error"]
"""Of a failed attempt that another may do better than: a process was killed without a word, or raised an error. Else there is
none: what the images, the weights or the loss are at fault for comes again."""

RESULT = "result.json"
"""In a run folder exactly when its Step is done; in an attempt's folder what that attempt would make it."""


@dataclass(frozen=True)
class Attempt:
    """One try at a Step, in a folder of its own."""

    path: Path

    @property
    def number(self) -> int:
        return int(self.path.name)

    @property
    def record(self) -> Path:
        """Who, when, where; on the end `state` is done, failed or interrupted, with `error` and `failure` when failed."""
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
    def outcomes(self) -> Path:
        """What became of each test image; see outcomes.py."""
        return self.path / "outcomes.safetensors"

    @property
    def result(self) -> Path:
        return self.path / RESULT

    def update(self, **values: Any) -> bool:
        """Write into its record; False once it says done or failed, which stays: of several ranks the first has its say."""
        written = read_json(self.record) or {}
        if written.get("state") in ("done", "failed"):
            return False
        write_json(self.record, written | values)
        return True

    def close(
        self, state: Literal["done", "failed", "interrupted"], error: str | None = None, failure: Failure | None = None
    ) -> bool:
        """Write into its record how it ended, with `error`, one line, when failed; False where another was first."""
        return self.update(state=state, ended=now(), error=error, failure=failure)

    def leftovers(self) -> Iterator[Path]:
        """Of atomic writes that were killed half-way; core/files.py names them so."""
        return self.path.glob(".*")

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

    @classmethod
    def around(cls, weights: Path) -> RunFolder | None:
        """That in which an attempt left these weights; None of a file that lies elsewhere."""
        attempt = Attempt(weights.absolute().parent)
        folder = cls(attempt.path.parent.parent)
        return folder if folder.step.exists() and attempt in folder.attempts() else None

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

    @property
    def outcomes(self) -> Path | None:
        """The winning attempt's; None where the Step tests nothing, or its result is of before they were kept."""
        name = (read_json(self.result) or {}).get("outcomes")
        return None if name is None else self.path / str(name)

    @property
    def cancelled(self) -> Path:
        return self.path / "cancelled"

    @property
    def committed(self) -> Path:
        """A folder, on a file system without links."""
        return self.path / "committed"

    @property
    def store(self) -> Store:
        return Store(self.path.parent.parent)

    @property
    def _attempts(self) -> Path:
        return self.path / "attempts"

    def attempts(self) -> list[Attempt]:
        """Oldest first."""
        try:
            names = [name for name in os.listdir(self._attempts) if name.isdigit()]
        except FileNotFoundError:
            return []
        return [Attempt(self._attempts / name) for name in sorted(names, key=int)]

    def new_attempt(self) -> Attempt:
        """The next free number; two processes never get the same."""
        number = max((a.number for a in self.attempts()), default=0) + 1
        while True:
            path = self._attempts / str(number)
            try:
                path.mkdir(parents=True)
                return Attempt(path)
            except FileExistsError:
                number += 1

    def commit(self, attempt: Attempt, result: dict[str, Any]) -> bool:
        """Make the Step done by this attempt; False when another attempt was first. What it leaves must be on disk."""
        files = {"weights": attempt.weights} | ({"outcomes": attempt.outcomes} if attempt.outcomes.exists() else {})
        write_json(attempt.result, result | {name: str(path.relative_to(self.path)) for name, path in files.items()})
        taken = self.done or self.committed.exists()  # perhaps by a machine that sees the file system in another way
        won = not taken and place_first(attempt.result, self.result, self.committed)
        self.settle()
        return won

    def settle(self) -> None:
        """Without links: publish what was committed, which the process that did might not have lived to do."""
        committed = self.committed / RESULT
        if not self.done and committed.exists():
            write_atomic(self.result, committed.read_bytes())

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
        self.cancelled.touch()

    def cancelled_since(self, moment: float) -> bool:
        """True when the Step was cancelled after `moment` (time.time())."""
        try:
            return self.cancelled.stat().st_mtime > moment
        except FileNotFoundError:
            return False

    def queue(self, job: Queued) -> None:
        """Remember that a scheduler's job is to make the next attempt."""
        write_json(self.queued, asdict(job), durable=False)  # lost, it is found again in the array

    def queued_as(self) -> Queued | None:
        """The scheduler's job that was last to make an attempt."""
        try:
            written = json.loads(self.queued.read_bytes())
            return Queued(**{field.name: written[field.name] for field in fields(Queued) if field.name in written})
        except (OSError, ValueError, TypeError):  # a crash may take it, and its array knows the same
            return None

    def without_attempt(self) -> Queued | None:
        """The job that was to make the next attempt: it has not, or ended before."""
        queued = self.queued_as()
        return queued if queued and queued.after_attempt == self.last_attempt() else None

    def last_attempt(self) -> int:
        """Its number, 0 where there is none."""
        attempts = self.attempts()
        return attempts[-1].number if attempts else 0

    def state(self) -> State:
        """From the files alone."""
        if self.done:
            return "done"
        standing = Lease(self.lease).standing()
        if standing != "free":
            return "running" if standing == "held" else "unknown"
        if self.done:  # since it was looked for
            return "done"
        attempts = self.attempts()
        if queued := self.without_attempt():
            return queued.ended or "queued"
        if not attempts:
            return "new"
        record = read_json(attempts[-1].record)
        return "failed" if record and record.get("state") == "failed" else "interrupted"


@dataclass(frozen=True)
class Store:
    """A folder of run folders; private to the user when made here."""

    path: Path

    def folder(self, step_id: str) -> RunFolder:
        """`finetune/r18-1x-digits-1pc-s0-1a2b3c4d`: a Step's id is its folder's name in the store."""
        return RunFolder(self.path / step_id)

    def names(self, kind: str) -> set[str]:
        """Of the run folders of that kind."""
        try:
            return set(os.listdir(self.path / kind))
        except (FileNotFoundError, NotADirectoryError):
            return set()

    def done(self, kind: str) -> Iterator[RunFolder]:
        """Run folders of that kind with a result, in no order."""
        return (RunFolder(result.parent) for result in (self.path / kind).glob(f"*/{RESULT}"))

    @property
    def option(self) -> str:
        """` --store DIR`, with which a command finds this store; empty where it does by itself."""
        here = os.environ.get("SIMCLR_SPEC_STORE", "runs")
        return "" if self.path == Path(here) else f" --store {quote(str(self.path))}"

    def make(self) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def all_plans(self) -> Path:
        """Every plan that was run, one JSON object a line."""
        return self._plans / "all.jsonl"

    def last_plan(self, spec: str) -> Path:
        """The plan of that spec that was run last; `spec` is a name that no other has."""
        return self._plans / f"{spec}.json"

    def last_plans(self) -> list[Path]:
        """Of every spec, in order of names."""
        return sorted(self._plans.glob("*.json"))

    @property
    def _plans(self) -> Path:
        return self.path / ".plans"

    @property
    def jobs(self) -> Path:
        """A folder for each run that goes on; those whose names begin with a dot are being made."""
        return self.path / ".jobs"

    @property
    def arrays(self) -> Path:
        """A folder for each job array; and the lease of who submits."""
        return self.path / ".arrays"

    def array(self, name: str) -> ArrayFolder:
        return ArrayFolder(self.arrays / name)

    def open_arrays(self) -> list[ArrayFolder]:
        """Those of which jobs may be left."""
        return [array for array in self._arrays() if not array.closed.exists()]

    def closed_arrays(self) -> list[ArrayFolder]:
        """Those of which no job is left."""
        return [array for array in self._arrays() if array.closed.exists()]

    def _arrays(self) -> list[ArrayFolder]:
        return [ArrayFolder(path.parent) for path in sorted(self.arrays.glob("*/array.json"))]

    @property
    def asked(self) -> Path:
        """Its time is when the scheduler was last asked."""
        return self.arrays / "asked"

    def bad_node(self, name: str) -> Path:
        """Its time is when the node last failed."""
        return self.arrays / "bad_nodes" / name

    def trial(self) -> RunFolder:
        """A folder of a new name, to try the file system with."""
        return RunFolder(self.path / f".probe-{os.urandom(6).hex()}")

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

    def hashes_of(self, folder: Path, splits: Splits = Splits.BOTH) -> Path:
        """What is remembered of the files of a data set's folder, and of its digest; see data/digests.py."""
        return self._of_images(folder, splits, "{}.hashes")

    def look_of(self, folder: Path, splits: Splits = Splits.BOTH) -> Path:
        """What the first look at a data set's folder remembers; see first_look.py."""
        return self._of_images(folder, splits, "look-{}.json")

    def _of_images(self, folder: Path, splits: Splits, name: str) -> Path:
        known = sha256(os.fsencode(os.path.abspath(folder))).hexdigest()[:16]
        part = {Splits.TRAIN: "-pile", Splits.TEST: "-val"}.get(splits, "")
        return self.path / ".data" / name.format(known + part)

    def weights_of(self, name: str, origin: str) -> Path:
        """What the first read of weights of that published name remembers; see weights.py."""
        known = sha256(os.fsencode(f"{origin}\n{name}")).hexdigest()[:16]
        return self.path / ".data" / f"weights-{known}.json"

    def prepare(self, step_id: str, step: dict[str, Any]) -> RunFolder:
        """The Step's folder with its step.json."""
        self.make()
        folder = self.folder(step_id)
        folder.path.mkdir(parents=True, exist_ok=True)
        write_json(folder.step, step)
        return folder
