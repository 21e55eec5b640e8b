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
from simclr_spec.core.errors import SimclrSpecError, UsageError

PATIENCE_SECONDS = 60
"""For a command to answer, unless the environment says otherwise; slurmctld's own patience is 10 s."""

ENDED = frozenset({"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "OUT_OF_MEMORY", "TIMEOUT"})
"""States of a job in the queue that is at its end. Others are none: after PREEMPTED and NODE_FAIL ours come back."""
ANY = -1
NAMES_AT_ONCE = 500
"""Of arrays in one question: a single argument may have 128 KiB."""
_LEAKS = (
    *("SLURM_", "SLURMD_", "SBATCH_", "SRUN_", "SQUEUE_", "SACCT_", "SCANCEL_", "SCONTROL_"),
    *("SUBMITIT_", "CUDA_VISIBLE_DEVICES"),
)
_LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", SINCE)


class NoAnswer(SimclrSpecError):  # noqa: N818 - it is Slurm's answer that is missing
    """Slurm cannot be asked, or refused to answer."""


class Full(NoAnswer):
    """No more jobs may be queued now: a limit of the user, the account, the QOS or the whole cluster."""


class NoAccounting(NoAnswer):
    """The cluster keeps no accounts: it will never say more."""


@dataclass(frozen=True)
class Job:
    """An element of an array, as Slurm sees it in its queue."""

    name: str
    array: str
    """the array's job id"""
    index: int
    """ANY of a row that stands for those that were cancelled one by one before they began"""
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
        return self.state not in ENDED

    @property
    def waits(self) -> bool:
        """For its start, or to be started again."""
        return self.live and self.state not in ("RUNNING", "COMPLETING", "STOPPED", "SIGNALING", "SUSPENDED", "RESIZING")


def there() -> bool:
    """Whether this machine has Slurm's commands."""
    return shutil.which("sbatch") is not None


def patience() -> int:
    """Seconds. Raises UsageError where the environment says none."""
    text = os.environ.get(SLURM_SECONDS, str(PATIENCE_SECONDS))
    if not text.isdigit() or int(text) < 1:
        raise UsageError(f"{SLURM_SECONDS} must be a whole number of seconds, not {text!r}")
    return int(text)


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
    return _done(words).stdout


def _done(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    asked = environment() | {"SLURM_BITSTR_LEN": "0"}  # else rows of many elements are cut short
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, errors="replace", timeout=patience(), check=False, env=asked
        )
    except FileNotFoundError:
        raise NoAnswer(f"this machine has no {words[0]}: is it a login node of the cluster?") from None
    except subprocess.TimeoutExpired:
        raise NoAnswer(f"{words[0]} did not answer within {patience()} s") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise NoAnswer(f"{words[0]}: {lines[-1].removeprefix(f'{words[0]}: ').removeprefix('error: ')}")
    return done


def test_only(*words: str) -> str:
    """When and where a job of these arguments and this script would begin, as sbatch tells it. Raises NoAnswer."""
    return _done(["sbatch", "--test-only", *words]).stderr.strip()


def partitions() -> dict[str, dict[str, str]]:
    """`scontrol show partition`, by name and key."""
    rows = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in call(*_PARTITIONS).splitlines()]
    return {row["PartitionName"]: row for row in rows if row}


_PARTITIONS = ("scontrol", "--oneliner", "show", "partition")


def most_submitted(user: str) -> dict[str, int]:
    """Account -> how many jobs of the user it lets be in the queue, where there is such a limit. Raises NoAnswer."""
    fields = "format=Account,MaxSubmitJobs,GrpSubmitJobs"
    lines = call("sacctmgr", "--noheader", "--parsable2", "show", "assoc", f"user={user}", fields).splitlines()
    rows = [line.split("|") for line in lines]
    return {account: min(map(int, filter(None, limits))) for account, *limits in rows if any(limits)}


def queue(names: Sequence[str]) -> list[Job]:
    """Elements of arrays of these names that Slurm still knows, ended ones of the last minutes among them. Raises NoAnswer."""
    found: list[Job] = []
    for some in batched(names):
        which = ("--all", "--local", "--array", "--states=all", f"--name={','.join(some)}")
        text = call("squeue", "--noheader", *which, "--format=%j|%F|%K|%T|%N|%r")
        found += [job for line in text.splitlines() if line.strip() for job in _queued(line)]
    return found


def batched(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[start : start + NAMES_AT_ONCE] for start in range(0, len(names), NAMES_AT_ONCE))


def _queued(line: str) -> Iterator[Job]:
    fields = line.split("|", 5)
    if len(fields) < 6:
        return iter(())  # a site's notice
    name, array, index, state, nodes, reason = fields
    return (Job(name, array, number, state, reason, nodes=nodes) for number in indices(index))


def mine() -> int:
    """How many jobs of this user wait or run, each element of an array counted. Raises NoAnswer."""
    return len(call("squeue", "--noheader", "--array", f"--user={getpass.getuser()}", "--format=%i").split())


def history(arrays: Sequence[str]) -> list[Job]:
    """What accounting says of these arrays' elements, the last start of each. Raises NoAccounting, or NoAnswer now."""
    fields = "--format=JobName,JobID,State,NodeList"
    found: list[Job] = []
    try:
        for some in batched(arrays):
            text = call("sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={','.join(some)}", fields)
            found += [job for line in text.splitlines() for job in _past(line)]
    except NoAnswer as error:
        if "accounting storage is disabled" in str(error) or "has no sacct" in str(error):
            raise NoAccounting(str(error)) from None
        raise
    return found


def _past(line: str) -> Iterator[Job]:
    fields = line.split("|")
    if len(fields) < 4:
        return iter(())
    name, job, state, nodes = fields[:4]
    array, _, index = job.partition("_")
    word, _, by = state.partition(" by ")
    if not index and word == "CANCELLED":  # the only element, before it was told apart from its array
        index = "N/A"
    return (Job(name, array, number, word.strip(), by=by.strip(), nodes=nodes) for number in indices(index))


def indices(text: str) -> Iterator[int]:
    """Of `3`, of waiting elements in one row: `[0-2,7%4]`, or of no element: `N/A`."""
    if text == "N/A":
        yield ANY
    for part in text.strip("[]").partition("%")[0].split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            yield from range(int(first), int(last or first) + 1)


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
