"""Slurm's commands, the only place that calls them: what they say, in few words of our own."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from simclr_spec.core.environment import SINCE, SLURM_SECONDS
from simclr_spec.core.errors import SimclrSpecError

TIMEOUT_SECONDS = int(os.environ.get(SLURM_SECONDS, "60"))
"""For a command to answer; slurmctld's own patience is 10 s."""

LIVE = frozenset(
    {
        "PENDING",
        "RUNNING",
        "SUSPENDED",
        "REQUEUED",
        "REQUEUE_HOLD",
        "REQUEUE_FED",
        "CONFIGURING",
        "COMPLETING",
        "RESIZING",
        "STOPPED",
        "SIGNALING",
        "SPECIAL_EXIT",
        "STAGE_OUT",
        "RESV_DEL_HOLD",
    }
)
"""States of a job that is not at its end, or comes back."""
_LEAKS = ("SLURM_", "SLURMD_", "SBATCH_", "SRUN_", "SUBMITIT_", "CUDA_VISIBLE_DEVICES")
_LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", SINCE)


class NoAnswer(SimclrSpecError):  # noqa: N818 - it is Slurm's answer that is missing
    """Slurm cannot be asked, or refused to answer."""


class Full(NoAnswer):
    """No more jobs may be queued now: a limit of the user, the account, the QOS or the whole cluster."""


@dataclass(frozen=True)
class Job:
    """An element of an array, as Slurm sees it."""

    name: str
    array: str
    """the array's job id"""
    index: int
    state: str
    """`CANCELLED`, `NODE_FAIL`, ...: the first word of what Slurm says"""
    reason: str = ""
    by: str = ""
    """uid of who cancelled it"""
    nodes: str = ""

    @property
    def id(self) -> str:
        return f"{self.array}_{self.index}"

    @property
    def live(self) -> bool:
        return self.state in LIVE


def there() -> bool:
    """Whether this machine has Slurm's commands."""
    return shutil.which("sbatch") is not None


def environment() -> dict[str, str]:
    """The caller's, without what would change a submission unseen: options of sbatch, a surrounding job, a launcher's ranks."""
    kept = ("SLURM_CONF", "SLURM_JWT")
    return {
        name: value for name, value in os.environ.items() if name in kept or not (name.startswith(_LEAKS) or name in _LAUNCHED)
    }


@contextlib.contextmanager
def clean() -> Iterator[None]:
    """This process's environment is that one meanwhile: submitit hands its own on."""
    before, cleaned = dict(os.environ), environment()
    os.environ.clear()
    os.environ.update(cleaned)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def call(*words: str) -> str:
    """What the command prints. Raises NoAnswer with its last line where it fails, is not there, or hangs."""
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_SECONDS, check=False, env=environment()
        )
    except FileNotFoundError:
        raise NoAnswer(f"this machine has no {words[0]}: is it a login node of the cluster?") from None
    except subprocess.TimeoutExpired:
        raise NoAnswer(f"{words[0]} did not answer within {TIMEOUT_SECONDS} s") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise NoAnswer(f"{words[0]}: {lines[-1].removeprefix(f'{words[0]}: ').removeprefix('error: ')}")
    return done.stdout


def queue(names: Sequence[str]) -> list[Job]:
    """Elements of arrays of these names that Slurm still knows, ended ones of the last minutes among them. Raises NoAnswer."""
    if not names:
        return []
    found = call("squeue", "--noheader", "--array", "--states=all", f"--name={','.join(names)}", "--format=%j|%F|%K|%T|%r|%N")
    rows = [line.split("|") for line in found.splitlines()]
    return [_job(*row) for row in rows if row[2] != "N/A"]  # a row of all elements that were cancelled before they began


def _job(name: str, array: str, index: str, state: str, reason: str, nodes: str) -> Job:
    return Job(name, array, int(index), state, reason, nodes=nodes)


def mine() -> int:
    """How many jobs of this user wait or run, each element of an array counted. Raises NoAnswer."""
    return len(call("squeue", "--noheader", "--array", f"--user={getpass.getuser()}", "--format=%i").split())


def history(arrays: Sequence[str]) -> list[Job]:
    """What accounting says of these arrays' elements, the last start of each. Raises NoAnswer, also without accounting."""
    if not arrays:
        return []
    found = call("sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={','.join(arrays)}",
                 "--format=JobName,JobID,State,NodeList")  # fmt: skip
    return list(_past(found))


def _past(text: str) -> Iterator[Job]:
    for line in text.splitlines():
        name, job, state, nodes = line.split("|")[:4]
        array, _, index = job.partition("_")
        if index.isdigit():
            word, _, by = state.partition(" by ")
            yield Job(name, array, int(index), word.strip(), by=by.strip(), nodes=nodes)


def release(*jobs: str) -> None:
    """Held jobs may begin. Raises NoAnswer."""
    if jobs:
        call("scontrol", "release", ",".join(jobs))


def requeue(job: str) -> None:
    """It ends, and begins again after a while: two minutes, unless the site says otherwise. Raises NoAnswer."""
    call("scontrol", "requeue", job)


def cancel(jobs: Sequence[str]) -> None:
    """Raises NoAnswer; jobs that have ended are no fault."""
    if jobs:
        call("scancel", "--quiet", *jobs)


def config() -> dict[str, str]:
    """`scontrol show config`, by key."""
    lines = call("scontrol", "show", "config").splitlines()
    return {key.strip(): value.strip() for key, equals, value in (line.partition("=") for line in lines) if equals}
