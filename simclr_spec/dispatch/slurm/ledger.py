"""What is written of arrays before, while and after they are submitted, so that none is lost and none is there twice.

In this order: the intent, with a name that no other array has; the array, held; in each Step's folder which element it is; the
receipt; the release. Killed anywhere between, the next call finds a job by its name, and goes on from there.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any

from simclr_spec.core.errors import SimclrSpecError, UsageError
from simclr_spec.core.files import read_json, write_json
from simclr_spec.core.times import now
from simclr_spec.language.runner import Slurm
from simclr_spec.store.arrays import ArrayFolder, Queued
from simclr_spec.store.layout import RunFolder, Store

_OURS = re.compile("SIMCLR_SPEC_|(OMP|MKL|OPENBLAS)_NUM_THREADS$")
PATIENCE_SECONDS = 120.0
"""For another process to have submitted its arrays."""


@dataclass(frozen=True, kw_only=True)
class Intent:
    """What an array is to be."""

    elements: Mapping[int, str]
    """index -> Step, as the run folder in the store; nothing for a job that submits the rest"""
    retries: Mapping[str, int]
    variables: Mapping[str, str]
    """environment of its processes"""
    processes: int
    cpus: int
    """of each process"""
    minutes: int
    grace_seconds: int
    code: str
    """version that submitted it"""
    by: str
    uid: int
    at: str
    command: str = ""
    """which submits the rest"""


def write_intent(store: Store, kind: str, elements: Mapping[int, str], runner: Slurm, **more: Any) -> ArrayFolder:
    """A new array's folder, named like no other."""
    folder = store.array(f"{kind}-{time.strftime('%m%d-%H%M%S')}-{os.urandom(3).hex()}")
    folder.path.mkdir(parents=True)
    intent = Intent(
        elements=elements,
        retries=asdict(runner.retries),
        grace_seconds=runner.grace_seconds,
        by=f"{getpass.getuser()} on {socket.gethostname()}",
        uid=os.getuid(),
        at=now(),
        **more,
    )
    write_json(folder.intent, asdict(intent))
    return folder


def read_intent(folder: ArrayFolder) -> Intent:
    """Raises SimclrSpecError where it is damaged, or names what is no Step's folder: others may write here, too."""
    written = read_json(folder.intent, *(field.name for field in fields(Intent) if field.default is MISSING))
    elements = {int(index): str(step) for index, step in written["elements"].items()}
    if odd := [step for step in elements.values() if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", step)]:
        raise SimclrSpecError(f"{folder.intent} is damaged: {odd[0]!r} is no Step's folder")
    known = {field.name: written[field.name] for field in fields(Intent) if field.name in written}
    known["variables"] = {name: value for name, value in known["variables"].items() if _OURS.match(name)}
    return Intent(**{**known, "elements": elements})


def job_of(folder: ArrayFolder) -> str | None:
    """The array's job id, once it is known."""
    receipt = read_json(folder.receipt, "job")
    return str(receipt["job"]) if receipt and str(receipt["job"]).isdigit() else None


def sign(folder: ArrayFolder, job: str) -> None:
    """The receipt."""
    write_json(folder.receipt, {"job": job, "at": now()})


def queue(run_folder: RunFolder, array: ArrayFolder, job: str, index: int) -> None:
    """A Step is that element of the array with that id."""
    before = run_folder.queued_as()
    run_folder.queue(
        Queued(
            job=f"{job}_{index}",
            array=array.name,
            index=index,
            after_attempt=run_folder.last_attempt(),
            vanished=before.vanished + (before.ended == "unknown") if before else 0,
        )
    )


def add_end(folder: ArrayFolder, index: int, **end: Any) -> None:
    """One more end after which the element begins again."""
    with folder.ends(index).open("a", encoding="utf-8") as file:
        file.write(json.dumps({**end, "at": now()}) + "\n")


def ends(folder: ArrayFolder, index: int) -> list[dict[str, Any]]:
    """So far."""
    try:
        lines = folder.ends(index).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines if line.endswith("}")]


def last_words(folder: ArrayFolder, index: int) -> str:
    """The last line of an element's log, where the shell or Python say what went wrong; srun's come after it, and say less."""
    lines = folder.end_of_log(index).splitlines()
    telling = [line.strip() for line in lines if line.strip() and not line.startswith("srun: launch/")]
    return next((line for line in reversed(telling) if not line.startswith("srun: ")), (telling or [""])[-1])


@contextlib.contextmanager
def submitting(store: Store) -> Iterator[None]:
    """One process at a time looks what is queued, and queues more. Raises UsageError where another goes on for minutes."""
    store.arrays.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        with RunFolder(store.arrays).leased() as mine:
            if mine:
                yield
                return
        if time.monotonic() > end:
            raise UsageError(f"another process has been submitting to {store.path} for minutes; try again later")
        time.sleep(0.2)


def bad_nodes(store: Store, runner: Slurm) -> Sequence[str]:
    """Nodes that failed a short while ago, the last first."""
    since = time.time() - 3600 * runner.bad_node_hours
    times = {file.name: file.stat().st_mtime for file in store.bad_node("x").parent.glob("*") if is_node(file.name)}
    return sorted((name for name, at in times.items() if at > since), key=lambda name: -times[name])[: runner.most_bad_nodes]


def is_node(name: str) -> bool:
    """Whether it is the name of one node: it reaches sbatch's script."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", name) is not None


def remember_bad(store: Store, node: str) -> None:
    """It failed just now, as far as is known."""
    file = store.bad_node(node)
    file.parent.mkdir(exist_ok=True)
    if not file.exists() or time.time() - file.stat().st_mtime > 3600:
        file.touch()
