"""What runs in a job: one element of an array, on each of its ranks, and afterwards the decision whether it begins again.

`python -m simclr_spec.dispatch.slurm.element work FOLDER` trains the Step of SLURM_ARRAY_TASK_ID; its exit code says how it
ended. `... again FOLDER CODE` runs in the batch script after all ranks have left: 0 means that the job is to be requeued, which
the script does, since a container has no `scontrol`.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

from simclr_spec.core.environment import BEGAN, JOB, PAST, SUBMITTED_CODE
from simclr_spec.core.errors import DataError, Interrupted, SimclrSpecError, TrainingError, UsageError
from simclr_spec.core.files import read_json
from simclr_spec.dispatch.slurm import ledger
from simclr_spec.store.layout import ArrayFolder, RunFolder, Store
from simclr_spec.store.sentences import in_other_hands

SAVED, NEVER, PARENT_LACKS, ELSEWHERE, CANCELLED = 75, 76, 77, 78, 79
"""Exit codes: asked to stop, with a checkpoint · an error that would come again · a parent is not done · another process works
on it · a person cancelled it."""
_FINAL = frozenset({0, NEVER, PARENT_LACKS, ELSEWHERE, CANCELLED, 126, 127})
_MEMORY = ("oom-kill", "oom_kill", "Out Of Memory", "exceeded memory limit", "out of memory")
"""What Slurm and the kernel write into a job's log."""
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
    first = os.environ["RANK"] == "0"
    if folder.done:
        return 0
    if first and (lacking := _lacking(store, folder)):
        print(f"{job}: {lacking} is not done, though it should be by now")
        return PARENT_LACKS
    if first and _too_many_failures(store, intent):
        print(f"{job}: more than {intent.retries['node_failure']} nodes failed under it")
        return NEVER
    if first and folder.is_leased():
        print(f"{job}: {in_other_hands(folder)}")
        return ELSEWHERE
    _look_at_cores(job, intent)
    return _execute(folder, began=time.time())


def _execute(folder: RunFolder, began: float) -> int:
    signal.signal(signal.SIGUSR2, _leave)  # while torch is imported there is nothing to save
    from simclr_spec.train.loop.execute import execute

    try:
        execute(folder.path)
    except Interrupted:
        return 0 if os.environ["RANK"] != "0" else CANCELLED if folder.cancelled_since(began) else SAVED
    except (TrainingError, DataError, UsageError) as error:
        print(error, file=sys.stderr)
        return NEVER
    except SimclrSpecError as error:
        print(error, file=sys.stderr)
        return 1
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


def _too_many_failures(store: Store, intent: ledger.Intent) -> bool:
    """Whether Slurm has begun it again too often after a node failed; such nodes are remembered."""
    past = [line.split("|") for line in os.environ.get(PAST, "").splitlines()]
    failed = [nodes for state, nodes in past if state == "NODE_FAIL"]
    for node in failed:
        if node.replace("-", "").replace(".", "").isalnum():  # of several nodes nobody says which one failed
            ledger.remember_bad(store, node)
    return len(failed) > intent.retries["node_failure"]


def _look_at_cores(job: str, intent: ledger.Intent) -> None:
    """Slurm may bind a process to fewer cores than were asked for, and then its threads take turns."""
    cores = len(os.sched_getaffinity(0))
    if cores < intent.cpus:
        print(f"{job}: this process may use {cores} of the {intent.cpus} cores that it asked for", file=sys.stderr)


def again(array: ArrayFolder, index: int, code: int) -> bool:
    """Whether the element is to begin again, by the runner's [retries]; writes down that it does."""
    intent = ledger.read_intent(array)
    folder = Store(array.path.parent.parent).folder(intent.elements[index])
    _settle(folder, array, index, code)
    why = _why(array, index, intent, code)
    so_far = [end["why"] for end in ledger.ends(array, index)].count(why)
    if not why or so_far >= intent.retries[why]:
        return False
    ledger.add_end(array, index, why=why, code=code, node=os.environ.get("SLURMD_NODENAME", socket.gethostname()))
    if queued := folder.queued_as():
        folder.queue(replace(queued, after_attempt=folder.last_attempt()))
    print(f"begins again: {why} ({so_far + 1} of {intent.retries[why]})")
    return True


def _why(array: ArrayFolder, index: int, intent: ledger.Intent, code: int) -> str:
    """The class of the end, as [retries] names it; empty where it does not begin again."""
    if code in _FINAL:
        return ""
    if code == SAVED:
        left = float(os.environ[BEGAN]) + 60 * intent.minutes
        return "timeout" if left - time.time() < intent.grace_seconds + WARNED_EARLY_SECONDS else "preemption"
    if code > 128:
        return "" if _memory_ran_out(array, index) else "killed"
    return "error"


def _memory_ran_out(array: ArrayFolder, index: int) -> bool:
    try:
        text = array.log(index).read_text(errors="replace")[-20_000:]
    except FileNotFoundError:
        return False
    return any(words in text for words in _MEMORY)


def _settle(folder: RunFolder, array: ArrayFolder, index: int, code: int) -> None:
    """Close the record of an attempt whose process was killed."""
    attempts = folder.attempts()
    if code > 128 and attempts and (read_json(attempts[-1].record) or {}).get("state") == "running":
        with folder.leased() as mine:
            if mine and not folder.done:
                why = (
                    "memory ran out" if _memory_ran_out(array, index) else f"a process was killed without a word (code {code})"
                )
                attempts[-1].close("failed", why)


def main(words: Sequence[str]) -> int:
    what, folder, *code = words
    array, index = ArrayFolder(Path(folder)), int(os.environ["SLURM_ARRAY_TASK_ID"])
    if what == "work":
        return work(array, index)
    return 0 if again(array, index, int(code[0])) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
