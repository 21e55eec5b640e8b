"""What has become of the arrays: Slurm is asked once for all of them, and what it says is written beside the Steps.

squeue knows what waits and runs, and for some minutes what ended; accounting, where there is any, knows the rest. Where neither
does, our own records say how far a Step came, and what never began is `unknown`. Nothing is concluded from no answer.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from simclr_spec.core.files import read_json
from simclr_spec.dispatch.slurm import commands, ledger
from simclr_spec.dispatch.slurm.commands import Job, NoAccounting, NoAnswer
from simclr_spec.store.arrays import ArrayFolder, Ended, Queued
from simclr_spec.store.layout import RunFolder, Store

EVERY_SECONDS = 10.0
"""At most so often somebody who only watches asks Slurm."""
FORGOTTEN_SECONDS = 600.0
"""After which an intent whose job never appeared is given up."""
PRIVATE_SECONDS = 24 * 3600.0
"""For another user's jobs that nobody here can see to be looked at by himself."""
ACCOUNTING_SECONDS = 10.0
"""That accounting is given to hear of what the queue already knows."""
NEVER_SATISFIED = "DependencyNeverSatisfied"
UNKNOWN_TWICE = "its job vanished twice before it began, and Slurm does not say why"


@dataclass
class Seen:
    """What Slurm says now."""

    live: dict[str, Job] = field(default_factory=dict)
    """by `1234_5`"""
    rest: dict[str, Job] = field(default_factory=dict)
    """jobs that wait to submit what could not be queued before, by what they call"""
    silent: str = ""
    """why it said nothing"""


def watched(store: Store) -> Seen | None:
    """For those who only look: asks at most every few seconds, and only where something is queued; None where it did not."""
    try:
        if not store.open_arrays() or not commands.there():
            return None
        asked = store.asked.stat().st_mtime
    except FileNotFoundError:
        asked = 0.0
    if time.time() - asked < EVERY_SECONDS:
        return None
    with contextlib.suppress(OSError), RunFolder(store.arrays).leased() as mine:  # a store that may only be read
        if mine:  # who submits looks by himself, and is not to be met half-way
            return reconcile(store)
    return None


def reconcile(store: Store) -> Seen:
    """Ask for every array that is not closed, and write down what has ended."""
    arrays = store.open_arrays()
    if not arrays:
        return Seen()
    store.asked.touch()
    try:
        queued = commands.queue([array.name for array in arrays])
    except NoAnswer as error:
        return Seen(silent=str(error))
    rows = {array.name: _by_index(array, queued) for array in arrays}
    past = _past(store, arrays, rows)
    seen = Seen()
    for array in arrays:
        try:
            live = _take(store, array, rows[array.name], None if past is None else past.get(array.name, {}))
        except NoAnswer as error:
            seen.silent = str(error)
            continue
        if (command := ledger.read_intent(array).command) and live and live[0].state == "PENDING":
            seen.rest[command] = live[0]
        seen.live |= {job.id: job for job in live}
    return seen


def _by_index(array: ArrayFolder, jobs: Iterable[Job]) -> dict[int, Job]:
    """Those of this array; a row for no element stands for all that have none."""
    rows = {job.index: job for job in jobs if job.name == array.name}
    rest = rows.pop(commands.ANY, None)
    return rows if rest is None else dict.fromkeys(_indices(array), rest) | rows


def _past(
    store: Store, arrays: Sequence[ArrayFolder], rows: Mapping[str, Mapping[int, Job]]
) -> dict[str, dict[int, Job]] | None:
    """What accounting says of elements that squeue no longer knows, or was told to cancel; None where it does not answer now.

    It lags by seconds, so that of what was cancelled just now it may first have to hear."""
    cancelled = [(array.name, index) for array in arrays for index in _cancelled(store, array, rows[array.name])]
    names = {name for name, _ in cancelled}
    asked = [array for array in arrays if array.name in names or _indices(array) - rows[array.name].keys()]
    end = time.monotonic() + ACCOUNTING_SECONDS
    while True:
        try:
            told = commands.history([id_ for array in asked if (id_ := ledger.job_of(array))])
        except NoAccounting:
            return {}
        except NoAnswer:
            return None
        found = {array.name: _by_index(array, told) for array in asked}
        heard = [found[name].get(index) for name, index in cancelled]
        if all(job and not job.live for job in heard) or time.monotonic() > end:
            return found
        time.sleep(0.5)


def _cancelled(store: Store, array: ArrayFolder, rows: Mapping[int, Job]) -> list[int]:
    """Elements that somebody cancelled, which is not written down yet; squeue does not say who."""
    steps = ledger.read_intent(array).elements
    found = [index for index, job in rows.items() if job.state == "CANCELLED" and job.reason != NEVER_SATISFIED]
    return [index for index in found if not _is_told(store.folder(steps[index]), array)]


def _is_told(folder: RunFolder, array: ArrayFolder) -> bool:
    queued, attempts = folder.queued_as(), folder.attempts()
    if queued is None or queued.array != array.name or queued.ended:
        return True
    return folder.without_attempt() is None and bool((read_json(attempts[-1].record) or {}).get("error"))


def _indices(array: ArrayFolder) -> set[int]:
    return set(ledger.read_intent(array).elements)


def _take(store: Store, array: ArrayFolder, rows: Mapping[int, Job], past: Mapping[int, Job] | None) -> list[Job]:
    """One array; its live elements. What neither queue nor accounting speaks of now stays as it was."""
    if not array.receipt.exists():
        if not rows:
            _forget(array)
            return []
        ledger.sign(array, next(iter(rows.values())).array)
    if not array.released.exists() and rows and _is_ours(array):
        rows = _release(store, array, rows)
    if ledger.read_intent(array).command:
        live = [row for row in rows.values() if row.live]
        if not live:
            array.closed.touch()
        return live
    found = [
        _element(store.folder(step), array, index, rows.get(index), (past or {}).get(index), silent=past is None)
        for index, step in ledger.read_intent(array).elements.items()
    ]
    if not any(found):
        array.closed.touch()
    return [job for job in found if isinstance(job, Job)]


def _element(
    folder: RunFolder, array: ArrayFolder, index: int, row: Job | None, past: Job | None, *, silent: bool
) -> Job | bool:
    """Its live job; else whether there may still be one. `silent`: accounting does not answer now."""
    if row is not None and row.live and row.reason == NEVER_SATISFIED:
        commands.cancel([row.id])  # Slurm was told to do that itself, but not every site lets it
        row = replace(row, state="CANCELLED")
    queued = folder.queued_as()
    mine = queued is not None and queued.array == array.name
    if row is not None and row.live:
        if not mine:  # who submitted it was killed before
            ledger.queue(folder, array, row.array, index)
        elif queued:
            _follow(folder, queued, row)
        return row
    if not mine or queued is None:
        return False
    if row is None and (silent or (past is None and _is_private(array, folder))):
        return not folder.done
    return not _ended(folder, queued, _joined(row, past), array)


def _follow(folder: RunFolder, queued: Queued, row: Job) -> None:
    """What changes while a job lives: why it waits, and that Slurm itself begins it again."""
    again = row.waits and not folder.is_leased()
    now = replace(queued, why=_held(row), after_attempt=folder.last_attempt() if again else queued.after_attempt)
    if now != queued:
        folder.queue(now)


def _is_private(array: ArrayFolder, folder: RunFolder) -> bool:
    """Slurm may not show us another user's jobs: for a day nothing is concluded from their absence."""
    return not _is_ours(array) and time.time() - folder.queued.stat().st_mtime < PRIVATE_SECONDS


def _is_ours(array: ArrayFolder) -> bool:
    """Another user's jobs are his to release, and perhaps not ours to see."""
    return os.getuid() in (0, ledger.read_intent(array).uid)


def _held(row: Job) -> str:
    """Why it will not begin by itself."""
    held = "held" in row.reason.lower() and row.reason != "JobHeldUser"
    return f"job {row.id} waits for somebody to release it: {row.reason} (scontrol release {row.id})" if held else ""


def _forget(array: ArrayFolder) -> None:
    """The job of this intent was never seen; sbatch may still be on its way."""
    if time.time() - array.intent.stat().st_mtime > FORGOTTEN_SECONDS:
        array.closed.touch()


def _release(store: Store, array: ArrayFolder, rows: Mapping[int, Job]) -> dict[int, Job]:
    """Who submitted it was killed before. What has been submitted again meanwhile is taken back: held, it never ran."""
    elements = ledger.read_intent(array).elements
    twice = {index for index, step in elements.items() if index in rows and _is_taken(store.folder(step), array)}
    commands.cancel([rows[index].id for index in sorted(twice)])
    left = {index: row for index, row in rows.items() if index not in twice}
    held = {row.array for row in left.values() if row.state == "PENDING" and row.reason == "JobHeldUser"}
    commands.release(*held)
    array.released.touch()
    return left


def _is_taken(folder: RunFolder, array: ArrayFolder) -> bool:
    """Whether a Step has a result, or another array's job."""
    queued = folder.queued_as()
    taken = queued is not None and queued.array != array.name and not folder.store.array(queued.array).closed.exists()
    return folder.done or taken


def _joined(row: Job | None, past: Job | None) -> Job | None:
    """The queue says how an element ended, accounting by whom."""
    return replace(row, by=past.by) if row and past else row or past


def _ended(folder: RunFolder, queued: Queued, end: Job | None, array: ArrayFolder) -> bool:
    """Write how the element came to its end; False while some process works on it."""
    if folder.done:
        return True
    if folder.is_leased():
        return False
    state, why = how(end, array, queued)
    attempts = folder.attempts()
    if attempts and attempts[-1].number > queued.after_attempt:
        record = read_json(attempts[-1].record) or {"state": "running"}
        if record["state"] == "running":
            with folder.leased() as mine:  # which also empties the lease of a process that is dead, Slurm says
                if not mine:
                    return False
                attempts[-1].close("failed" if state == "failed" else "interrupted", why)
        elif record["state"] == "interrupted" == state and not record["error"]:
            attempts[-1].close("interrupted", why)
    elif queued.ended is None and end is not None and _was_never_to_begin(folder, end):
        folder.queued.unlink(missing_ok=True)  # as if it had never been submitted: its parent is what failed
    elif queued.ended is None:
        if state == "unknown" and folder.cancelled_since(array.intent.stat().st_mtime):
            state, why = "interrupted", f"job {queued.job} was cancelled"  # an element that waits vanishes without a trace
        elif state == "unknown" and queued.vanished:
            state, why = "failed", UNKNOWN_TWICE
        folder.queue(replace(queued, ended=state, why=why))
    return True


def _was_never_to_begin(folder: RunFolder, end: Job) -> bool:
    """Slurm itself cancelled it, since a parent did not end well; accounting does not say why, only that nobody did."""
    if end.reason == NEVER_SATISFIED:
        return True
    needs = read_json(folder.step, "needs")["needs"].values()
    return end.state == "CANCELLED" and not end.by and not all(folder.store.folder(need["folder"]).done for need in needs)


def how(end: Job | None, array: ArrayFolder, queued: Queued) -> tuple[Ended, str]:
    """State and sentence of a job's end."""
    job = f"job {queued.job}"
    if end is None or (end.live and end.state not in _LAST):
        return "unknown", f"{job} is gone, and Slurm does not say how it ended"
    if end.state == "CANCELLED":
        return "interrupted", f"{job} was cancelled" + (f" by {_user(end.by)}" if end.by else "")
    if end.state == "PREEMPTED":
        return "interrupted", f"{job} was preempted"
    if end.state in ("NODE_FAIL", "BOOT_FAIL"):
        return "interrupted", f"{end.nodes or 'the node'} failed under {job}"
    if end.state in ("TIMEOUT", "DEADLINE"):
        return "interrupted", f"{job} reached its time limit"
    if end.state == "OUT_OF_MEMORY":
        return "failed", OUT_OF_MEMORY.format(job=job)
    said = ledger.last_words(array, queued.index)
    return "failed", f"{job} ended without a word of the training{said and f': {said}'}"


_LAST = ("PREEMPTED", "NODE_FAIL")
"""What accounting alone says of a job is its end; in the queue it comes back."""


def _user(uid: str) -> str:
    with contextlib.suppress(KeyError, ValueError):
        return pwd.getpwuid(int(uid)).pw_name
    return f"user {uid}"


OUT_OF_MEMORY = "memory ran out under {job}: ask for more memory_gib, or spread the Step over more nodes"
