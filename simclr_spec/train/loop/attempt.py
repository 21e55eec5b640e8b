"""What an attempt leaves for people and for the runner: record.json, log, and the wish to stop."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any, Literal

import torch

from simclr_spec.core.code import code_version
from simclr_spec.core.environment import JOB, SUBMITTED_CODE
from simclr_spec.core.errors import Interrupted, SimclrSpecError, TrainingError
from simclr_spec.core.files import append_line, refusal
from simclr_spec.core.times import now
from simclr_spec.store.layout import Attempt, Failure, RunFolder
from simclr_spec.train import distributed

LOOK_SECONDS = 0.5
"""Between looks at the mark that `simclr-spec cancel` leaves in the run folder."""


class LostRankError(SimclrSpecError):
    """Another process of the Step died, which this one cannot go on without."""


class Stop:
    """Whether the process was asked to stop, or its Step was cancelled since this began."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder, self.began = folder, time.time()
        self.looked = time.monotonic()
        self.asked = False

    def __call__(self, *_: object) -> None:
        self.asked = True

    def requested(self) -> bool:
        if not self.asked and time.monotonic() - self.looked > LOOK_SECONDS:
            self.asked = self.folder.cancelled_since(self.began)
            self.looked = time.monotonic()
        return self.asked


@contextlib.contextmanager
def stopping(folder: RunFolder) -> Iterator[Stop]:
    """SIGTERM and SIGUSR2 count while a Step runs; handlers can be set in the main thread only."""
    stop = Stop(folder)
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGUSR2)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Record:
    """The attempt's record.json and log. Rank 0 writes, and a rank that fails how it did."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.writes = distributed.rank() == 0
        self.values: dict[str, Any] = {
            "state": "running",
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": now(),
            "ended": None,
            "error": None,
            "job": os.environ.get(JOB) or os.environ.get("SLURM_JOB_ID"),
            "resumed_from": None,
        }

    def set(self, **values: Any) -> None:
        self.values |= values
        if self.writes:
            self.attempt.update(**self.values)

    def close(self, state: Literal["done", "interrupted"]) -> None:
        """On a full disk neither line nor state: that hides no cause, nor undoes what is done."""
        with contextlib.suppress(OSError):
            self.log(state)
        if self.writes:
            with contextlib.suppress(OSError):
                self.attempt.close(state)

    def fail(self, error: Exception) -> None:
        """Of several ranks the first says it: the others fail because it has left. What we say ourselves needs no traceback."""
        ours, first = isinstance(error, SimclrSpecError), True
        sentence = str(error) if ours else f"{type(error).__name__}: {error}"
        if not ours and distributed.world_size() > 1:
            sentence = f"rank {distributed.rank()}: {sentence}"
        with contextlib.suppress(OSError):
            first = self.attempt.close("failed", sentence.splitlines()[0], _failure(error))
        if first:
            with contextlib.suppress(OSError):
                self._write(f"failed: {sentence}" + ("" if ours and not error.__cause__ else f"\n{traceback.format_exc()}"))

    def log(self, text: str) -> None:
        if self.writes:
            self._write(text)

    def _write(self, text: str) -> None:
        append_line(self.attempt.log, f"{now()} {text.rstrip()}")


@contextlib.contextmanager
def recorded(attempt: Attempt) -> Iterator[Record]:
    """Keeps record.json true, whatever happens inside short of SIGKILL and of a disk that takes no more."""
    record = Record(attempt)
    record.set()
    distributed.barrier()  # before another rank may say how it failed
    record.log(f"started, process {os.getpid()} on {socket.gethostname()}")
    if (submitted := os.environ.get(SUBMITTED_CODE, code_version())) != code_version():
        record.set(code=code_version(), submitted_code=submitted)
        record.log(f"runs on code {code_version()}, submitted with {submitted}")
    try:
        with for_users():
            yield record
    except (Interrupted, KeyboardInterrupt):
        record.close("interrupted")
        raise
    except Exception as error:
        record.fail(error)
        raise
    record.close("done")


@contextlib.contextmanager
def for_users() -> Iterator[None]:
    """Raises TrainingError, with what helps, for a memory that is full and for a disk that refuses."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            "the device ran out of memory: use more devices, or set micro_batch (BN then sees only a micro-batch)"
        ) from error
    except OSError as error:
        if refused := refusal(error):
            raise TrainingError(f"{refused}, and run again: the Step goes on from its last checkpoint") from None
        raise
    except RuntimeError as error:
        if distributed.lost_another(error):
            raise LostRankError("another process of this Step died") from error
        raise


def _failure(error: Exception) -> Failure | None:
    """Which kind of retry may help."""
    return "killed" if isinstance(error, LostRankError) else None if isinstance(error, SimclrSpecError) else "error"
