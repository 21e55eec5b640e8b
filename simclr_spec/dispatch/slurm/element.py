"""What runs in a job: one element of an array, on each of its ranks, and afterwards the decision whether it begins again.

`python -m simclr_spec.dispatch.slurm.element work FOLDER` trains the Step of SLURM_ARRAY_TASK_ID; its exit code says how it
ended. `... again FOLDER CODE` runs in the batch script after all ranks have left, and says whether the job is to be requeued,
which the script does, since a container has no `scontrol`.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from simclr_spec.core.environment import BEGAN, JOB, PAST, SUBMITTED_CODE
from simclr_spec.core.errors import DataError, Interrupted, SimclrSpecError, TrainingError, UsageError
from simclr_spec.core.files import read_json
from simclr_spec.core.words import counted
from simclr_spec.dispatch.slurm import ledger
from simclr_spec.dispatch.slurm.reconcile import OUT_OF_MEMORY
from simclr_spec.dispatch.slurm.submission import AGAIN, DONE
from simclr_spec.store import lease
from simclr_spec.store.arrays import ArrayFolder
from simclr_spec.store.layout import RunFolder, Store
from simclr_spec.store.sentences import in_other_hands

SAVED, NEVER, PARENT_LACKS, ELSEWHERE, CANCELLED = 75, 76, 77, 78, 79
"""Exit codes: asked to stop, with a checkpoint · an error that would come again · a parent is not done · another process works
on it · a person cancelled it."""
_FINAL = frozenset({0, NEVER, PARENT_LACKS, ELSEWHERE, CANCELLED, 126, 127})
_MEMORY = ("oom-kill", "oom_kill", "Out Of Memory", "exceeded memory limit", "out of memory", "can't allocate memory")
"""What Slurm, the kernel and torch write into a job's log."""
_SENTENCES = {
    "timeout": "it reached its time limit",
    "preemption": "others needed its nodes",
    "killed": "a process was killed without a word (code {code})",
}
WARNED_EARLY_SECONDS = 90.0
"""Slurm may warn so much earlier than it was asked to."""


def work(array: ArrayFolder, index: int) -> int:
    """Train the Step; the exit code."""
    intent = ledger.read_intent(array)
    store = Store(array.path.parent.parent)
    folder = store.folder(intent.elements[index])
    job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{index}"
    os.environ |= {**intent.variables, **_ranks(intent.processes), JOB: f"{job} on {socket.gethostname()}"}
    os.environ[SUBMITTED_CODE] = intent.code
    if folder.done:
        return 0
    if os.environ["RANK"] == "0" and (code := _refused(array, index, job)):
        return code
    _look_at_cores(job, intent)
    code = _execute(folder, began=time.time())

    from simclr_spec.train import distributed

    return distributed.leave(code)


def _refused(array: ArrayFolder, index: int, job: str) -> int:
    """0 where the Step can begin."""
    intent, store = ledger.read_intent(array), Store(array.path.parent.parent)
    folder = store.folder(intent.elements[index])
    if lacking := _lacking(store, folder):
        return _refuse(folder, job, f"{lacking} is not done, though it should be by now", PARENT_LACKS)
    if _too_many_failures(store, array, index, intent):
        return _refuse(folder, job, f"more than {counted(intent.retries['node_failure'], 'node')} failed under it", NEVER)
    if not _comes_free(folder):
        print(f"{job}: {in_other_hands(folder)}")
        return ELSEWHERE
    if (queued := folder.queued_as()) and queued.job == job:
        folder.queue(replace(queued, after_attempt=folder.last_attempt()))  # Slurm itself may have begun it again
    return 0


def _refuse(folder: RunFolder, job: str, why: str, code: int) -> int:
    """The Step fails before an attempt begins."""
    print(f"{job}: {why}")
    if (queued := folder.queued_as()) and queued.job == job:
        folder.queue(replace(queued, after_attempt=folder.last_attempt(), ended="failed", why=f"job {job}: {why}"))
    return code


def _comes_free(folder: RunFolder) -> bool:
    """Whether nobody works on it; after a while in which one that was killed elsewhere still passes for alive."""
    before, end = folder.holder(), time.monotonic() + 1.5 * lease.FRESH_SECONDS
    while folder.is_leased():
        if folder.holder() != before or time.monotonic() > end:  # it beats, or its clock is far ahead
            return False
        time.sleep(min(1.0, lease.FRESH_SECONDS / 10))
    return True


def _execute(folder: RunFolder, began: float) -> int:
    from simclr_spec.train.loop.execute import execute

    try:
        execute(folder.path)
    except Interrupted:
        return 0 if os.environ["RANK"] != "0" else CANCELLED if folder.cancelled_since(began) else SAVED
    except Exception as error:
        print(error if isinstance(error, SimclrSpecError) else traceback.format_exc(), file=sys.stderr)
        return NEVER if isinstance(error, (TrainingError, DataError, UsageError)) else 1
    return 0 if folder.done or os.environ["RANK"] != "0" else ELSEWHERE


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(SAVED)


def _ranks(processes: int) -> dict[str, str]:
    """What torch wants to know, of what srun says. CUDA_VISIBLE_DEVICES stays as Slurm has set it."""
    if processes == 1:
        return {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
    port = 20_000 + (int(os.environ["SLURM_JOB_ID"]) + 7_919 * int(os.environ.get("SLURM_RESTART_COUNT", "0"))) % 40_000
    return {
        "RANK": os.environ["SLURM_PROCID"],
        "WORLD_SIZE": os.environ["SLURM_NTASKS"],
        "LOCAL_RANK": os.environ["SLURM_LOCALID"],
        "MASTER_PORT": str(port),
    }


def _lacking(store: Store, folder: RunFolder) -> str:
    """A parent without a result: an id that Slurm no longer knew counts as done for it."""
    needs = read_json(folder.step, "needs")["needs"]
    return next((need["folder"] for need in needs.values() if not store.folder(need["folder"]).done), "")


def _too_many_failures(store: Store, array: ArrayFolder, index: int, intent: ledger.Intent) -> bool:
    """Whether Slurm has begun it again too often after a node failed; such nodes are remembered.

    Without accounting nobody says why Slurm did: then as often as after preemptions."""
    past = [words for line in os.environ.get(PAST, "").splitlines() if len(words := line.split("|")) == 3]
    failed = [nodes for name, state, nodes in past if name == array.name and state == "NODE_FAIL"]
    for node in filter(ledger.is_node, failed):  # of several nodes nobody says which one failed
        ledger.remember_bad(store, node)
    restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0")) - len(ledger.ends(array, index))
    return len(failed) > intent.retries["node_failure"] or restarts > intent.retries["preemption"]


def _look_at_cores(job: str, intent: ledger.Intent) -> None:
    """Slurm may bind a process to fewer cores than were asked for, and then its threads take turns."""
    cores = len(os.sched_getaffinity(0))
    if cores < intent.cpus:
        print(f"{job}: this process may use {cores} of the {intent.cpus} cores that it asked for", file=sys.stderr)


def afterwards(array: ArrayFolder, index: int, code: int) -> int:
    """What the batch script is to do."""
    if code and Store(array.path.parent.parent).folder(ledger.read_intent(array).elements[index]).done:
        return DONE
    return AGAIN if again(array, index, code) else 0


def again(array: ArrayFolder, index: int, code: int) -> bool:
    """Whether the element is to begin again, by the runner's [retries]; writes down that it does, or why it does not."""
    intent = ledger.read_intent(array)
    folder = Store(array.path.parent.parent).folder(intent.elements[index])
    out_of_memory = _memory_ran_out(array, index)
    why = "" if out_of_memory else _why(folder, intent, code)
    so_far = [end["why"] for end in ledger.ends(array, index)].count(why)
    allowed = intent.retries.get(why, 0)
    if out_of_memory and code:
        _settle(folder, OUT_OF_MEMORY.format(job=f"job {os.environ['SLURM_ARRAY_JOB_ID']}_{index}"), last=True)
    elif why in _SENTENCES:
        times = f", {counted(so_far + 1, 'time')}: [retries] {why} = {allowed} allows no more" if so_far >= allowed > 0 else ""
        _settle(folder, f"{_SENTENCES[why].format(code=code)}{times}", last=so_far >= allowed)
    if not why or so_far >= allowed:
        return False
    ledger.add_end(array, index, why=why, code=code, node=os.environ.get("SLURMD_NODENAME", socket.gethostname()))
    if (queued := folder.queued_as()) and queued.array == array.name:
        folder.queue(replace(queued, after_attempt=folder.last_attempt()))
    print(f"begins again: {why} ({so_far + 1} of {allowed})")
    return True


def _why(folder: RunFolder, intent: ledger.Intent, code: int) -> str:
    """The class of the end, as [retries] names it; empty where it does not begin again."""
    queued = folder.queued_as()
    refused = queued is not None and queued.ended  # where one rank is, srun tells that it killed the others
    if code in _FINAL or refused or folder.cancelled_since(float(os.environ[BEGAN])):
        return ""
    record = _record(folder)
    if code == SAVED or (code > 128 and record.get("state") == "interrupted"):
        left = float(os.environ[BEGAN]) + 60 * intent.minutes
        return "timeout" if left - time.time() < intent.grace_seconds + WARNED_EARLY_SECONDS else "preemption"
    if record.get("state") == "failed":
        return record["failure"] or ""
    return "killed" if code > 128 else "error"


def _record(folder: RunFolder) -> dict[str, Any]:
    """Of the attempt of this start: what srun says of several ranks may be that it killed the others."""
    attempts = folder.attempts()
    return {} if not attempts or folder.without_attempt() else read_json(attempts[-1].record) or {}


def _memory_ran_out(array: ArrayFolder, index: int) -> bool:
    text = array.end_of_log(index)
    return any(words in text for words in _MEMORY)


def _settle(folder: RunFolder, why: str, *, last: bool) -> None:
    """A killed process could not close its record; after the `last` start the Step failed, though it saved or never began."""
    attempts, queued = folder.attempts(), folder.without_attempt()
    if last and queued:
        folder.queue(replace(queued, ended="failed", why=why))
    elif not queued and attempts and _record(folder).get("state") in ("running", last and "interrupted"):
        with folder.leased() as mine:
            if mine and not folder.done:
                attempts[-1].close("failed", why)


def main(words: Sequence[str]) -> int:
    what, folder, *code = words
    array, index = ArrayFolder(Path(folder)), int(os.environ["SLURM_ARRAY_TASK_ID"])
    if what == "work":
        for number in (signal.SIGUSR2, signal.SIGTERM):
            signal.signal(number, _leave)  # while torch is imported there is nothing to save
        return work(array, index)
    return afterwards(array, index, int(code[0]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
