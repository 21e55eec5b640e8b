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
from simclr_spec.core.files import write_json
from simclr_spec.core.times import now
from simclr_spec.store.layout import Attempt, RunFolder
from simclr_spec.train import distributed

LOOK_SECONDS = 0.5
"""Between looks at the mark that `simclr-spec cancel` leaves in the run folder."""


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
    """The attempt's record.json and log; only rank 0 writes."""

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
            write_json(self.attempt.record, self.values)

    def close(self, state: Literal["done", "failed", "interrupted"], error: str | None = None) -> None:
        if self.writes:
            self.attempt.close(state, error)

    def log(self, text: str) -> None:
        if self.writes:
            with self.attempt.log.open("a") as file:
                file.write(f"{now()} {text.rstrip()}\n")


@contextlib.contextmanager
def recorded(attempt: Attempt) -> Iterator[Record]:
    """Keeps record.json true, whatever happens inside short of SIGKILL."""
    record = Record(attempt)
    record.set()
    record.log(f"started, process {os.getpid()} on {socket.gethostname()}")
    if (submitted := os.environ.get(SUBMITTED_CODE, code_version())) != code_version():
        record.set(code=code_version(), submitted_code=submitted)
        record.log(f"runs on code {code_version()}, submitted with {submitted}")
    try:
        yield record
    except (Interrupted, KeyboardInterrupt):
        record.log("interrupted")
        record.close("interrupted")
        raise
    except Exception as error:
        shown = _for_users(error)
        sentence = str(shown) if isinstance(shown, SimclrSpecError) else f"{type(shown).__name__}: {shown}"
        ours = shown is error and isinstance(error, SimclrSpecError)
        record.log(f"failed: {sentence}" + ("" if ours else f"\n{traceback.format_exc()}"))  # what we say ourselves says it all
        record.close("failed", sentence.splitlines()[0])
        if shown is error:
            raise
        raise shown from error
    record.log("done")
    record.close("done")


def _for_users(error: Exception) -> Exception:
    """The error as the user should hear it."""
    if isinstance(error, torch.OutOfMemoryError):
        return TrainingError(
            "the device ran out of memory: use more devices, or set micro_batch (BN then sees only a micro-batch)"
        )
    return error
