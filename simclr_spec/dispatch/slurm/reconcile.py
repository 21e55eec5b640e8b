"""What has become of the arrays: Slurm is asked once for all of them, and what it says is written beside the Steps.

squeue knows what waits and runs, and for some minutes what ended; accounting, where there is any, knows the rest. Where neither
does, our own records say how far a Step came, and what never began is `unknown`. Nothing is concluded from no answer.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from simclr_spec.core.files import read_json
from simclr_spec.dispatch.slurm import commands, ledger
from simclr_spec.dispatch.slurm.commands import Job, NoAnswer
from simclr_spec.store.layout import ArrayFolder, Ended, Queued, RunFolder, Store

EVERY_SECONDS = 10.0
"""At most so often somebody who only watches asks Slurm."""
FORGOTTEN_SECONDS = 600.0
"""After which an intent whose job never appeared is given up."""
UNKNOWN_TWICE = "its job vanished twice before it began, and Slurm does not say why"


@dataclass
class Seen:
    """What Slurm says now."""

    live: dict[str, Job] = field(default_factory=dict)
    """by `1234_5`"""
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
    with contextlib.suppress(OSError):  # a store that may only be read
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
    rows = {array.name: {job.index: job for job in queued if job.name == array.name} for array in arrays}
    past = _past(arrays, rows)
    seen = Seen()
    for array in arrays:
        live = _take(store, array, rows[array.name], past.get(array.name, {}))
        seen.live |= {job.id: job for job in live}
    return seen


def _past(arrays: Iterable[ArrayFolder], rows: Mapping[str, Mapping[int, Job]]) -> dict[str, dict[int, Job]]:
    """What accounting says of elements that squeue no longer knows."""
    forgotten = [id_ for array in arrays if (id_ := ledger.job_of(array)) and rows[array.name].keys() < _indices(array)]
    found: dict[str, dict[int, Job]] = {}
    with contextlib.suppress(NoAnswer):
        for job in commands.history(forgotten):
            found.setdefault(job.name, {})[job.index] = job
    return found


def _indices(array: ArrayFolder) -> set[int]:
    return set(ledger.read_intent(array).elements)


def _take(store: Store, array: ArrayFolder, rows: Mapping[int, Job], past: Mapping[int, Job]) -> list[Job]:
    """One array; its live elements."""
    if not array.receipt.exists():
        if not rows:
            _forget(array)
            return []
        ledger.adopt(store, array, next(iter(rows.values())).array)
    if not array.released.exists() and rows:
        _release(store, array, rows)
    live, open_ = [], False
    for index, step in ledger.read_intent(array).elements.items():
        folder, row = store.folder(step), rows.get(index)
        queued = folder.queued_as()
        mine = queued is not None and queued.array == array.name
        if row is not None and row.live:
            live.append(row)
            open_ = True
            if mine and queued and not folder.is_leased() and queued.after_attempt != folder.last_attempt():
                folder.queue(replace(queued, after_attempt=folder.last_attempt()))  # Slurm itself began it again
        elif mine and queued:
            open_ |= not _ended(folder, queued, row or past.get(index), array)
    if not open_:
        array.closed.touch()
    return live


def _forget(array: ArrayFolder) -> None:
    """The job of this intent was never seen; sbatch may still be on its way."""
    if time.time() - array.intent.stat().st_mtime > FORGOTTEN_SECONDS:
        array.closed.touch()


def _release(store: Store, array: ArrayFolder, rows: Mapping[int, Job]) -> None:
    """Who submitted it was killed before. What has been submitted again meanwhile is taken back: held, it never ran."""
    twice = []
    for index, step in ledger.read_intent(array).elements.items():
        queued = store.folder(step).queued_as()
        if (
            index in rows
            and queued is not None
            and queued.array != array.name
            and not store.array(queued.array).closed.exists()
        ):
            twice.append(rows[index].id)
    commands.cancel(twice)
    commands.release(next(iter(rows.values())).array)
    array.released.touch()


def _ended(folder: RunFolder, queued: Queued, end: Job | None, array: ArrayFolder) -> bool:
    """Write how the element came to its end; False while some process works on it."""
    if folder.done:
        return True
    if folder.is_leased():
        return False
    attempts = folder.attempts()
    if attempts and attempts[-1].number > queued.after_attempt:
        record = read_json(attempts[-1].record)
        if record is None or record.get("state") == "running":
            state, why = how(end, array, queued)
            attempts[-1].close("failed" if state == "failed" else "interrupted", why)
        return True
    if queued.ended is None:
        if end is not None and end.reason == "DependencyNeverSatisfied":
            folder.queued.unlink(missing_ok=True)  # as if it had never been submitted: its parent is what failed
            return True
        state, why = how(end, array, queued)
        if state == "unknown" and queued.vanished:
            state, why = "failed", UNKNOWN_TWICE
        folder.queue(replace(queued, ended=state, why=why))
    return True


def how(end: Job | None, array: ArrayFolder, queued: Queued) -> tuple[Ended, str]:
    """State and sentence of a job's end."""
    job = f"job {queued.job}"
    if end is None or end.live:
        return "unknown", f"{job} is gone, and Slurm does not say how it ended"
    if end.state == "CANCELLED":
        return "interrupted", f"{job} was cancelled" + (f" by user {end.by}" if end.by else "")
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


OUT_OF_MEMORY = "memory ran out under {job}: ask for more memory_gib, or spread the Step over more nodes"
