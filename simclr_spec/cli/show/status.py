"""What `status`, `logs` and `gc` print."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from simclr_spec.cli.show.columns import aligned, or_dash
from simclr_spec.cli.show.live import describe
from simclr_spec.core.files import read_json
from simclr_spec.core.states import STATES, State
from simclr_spec.core.words import counted, size
from simclr_spec.store.drift import drifted
from simclr_spec.store.garbage import Waste
from simclr_spec.store.layout import Attempt
from simclr_spec.store.selection import Entry
from simclr_spec.store.sentences import last_error, last_heard

LOOK_SECONDS = 0.5
"""Between looks at logs that are followed."""
AGAIN_SECONDS = 20.0
"""In which a job decides whether its Step begins again."""
QUIET_SECONDS = 30.0
"""Of a followed log, until a line of the curve stands in for it."""


def status(entries: Sequence[Entry]) -> str:
    """Counts by stage and state, a line per running Step, each failure with its last line and log."""
    if not entries:
        return "There is no Step to show."
    stages = dict.fromkeys(entry.stage for entry in entries)
    shown = [state for state in STATES if any(entry.state == state for entry in entries)]
    rows = [["stage", "steps", *shown]]
    for stage in stages:
        of_stage = [entry for entry in entries if entry.stage == stage]
        rows.append([stage, *_counts(of_stage, shown)])
    if len(stages) > 1:
        rows.append(["total", *_counts(entries, shown)])
    told = (*_running(entries), *_interrupted(entries), *_failures(entries), *_stale(entries), *_drifted(entries))
    return "\n".join([*aligned(rows), *told])


def _counts(entries: Sequence[Entry], shown: Sequence[State]) -> list[str]:
    counts = [sum(entry.state == state for entry in entries) for state in shown]
    return [str(len(entries)), *map(or_dash, counts)]


def _running(entries: Sequence[Entry]) -> Iterator[str]:
    for entry in entries:
        attempts = entry.folder.attempts() if entry.state == "running" else []
        if attempts:
            record = read_json(attempts[-1].record) or {}
            job = record.get("job") or ""
            place = f"job {job}" if " on " in job else f"process {record.get('pid')} on {record.get('host')}"
            yield "  ".join(filter(None, ["▸ " + entry.name, *describe(attempts[-1].last_metrics()), place]))
        if entry.state == "unknown":
            queued = entry.folder.without_attempt()
            yield f"? {entry.name}: {queued.why if queued else last_heard(entry.folder)}"


def _interrupted(entries: Sequence[Entry]) -> Iterator[str]:
    """And what waits for more than its turn: those of which is known why."""
    for entry in entries:
        if entry.state in ("interrupted", "queued"):
            queued, attempts = entry.folder.without_attempt(), entry.folder.attempts()
            why = queued.why if queued else attempts and (read_json(attempts[-1].record) or {}).get("error")
            if why:
                yield f"‖ {entry.name}: {why}"


def _failures(entries: Sequence[Entry]) -> Iterator[str]:
    for entry in entries:
        if entry.state != "failed":
            continue
        attempts, queued = entry.folder.attempts(), entry.folder.without_attempt()
        if queued:
            yield f"✗ {entry.name}: {queued.why}"
            yield f"    {entry.folder.store.array(queued.array).log(queued.index)}"
        elif attempts:
            yield f"✗ {entry.name}: {last_error(attempts[-1])}"
            yield f"    {attempts[-1].log}"


def _stale(entries: Sequence[Entry]) -> Iterator[str]:
    names = sorted({entry.dataset["name"] for entry in entries if entry.state == "stale"})
    if names:
        yield f"✗ stale: the images of {', '.join(names)} have changed since; put them back, or see simclr-spec pin --help"


def _drifted(entries: Sequence[Entry]) -> Iterator[str]:
    return (f"! {line}" for line in drifted(entry.folder for entry in entries))


def orphans(found: Sequence[Entry]) -> str:
    """A line on queued and running Steps that no spec needs any more; nothing where there are none."""
    if not found:
        return ""
    which = ",".join(entry.fingerprint[:8] for entry in found)
    needed = "is in no spec as it stands now" if len(found) == 1 else "are in no spec as it stands now"
    option = found[0].folder.store.option
    return (
        f"{counted(len(found), 'Step')} queued or running {needed}; `simclr-spec cancel fingerprint={which}{option}` stops them"
    )


def logs(entries: Sequence[Entry], lines: int, sizes: Mapping[Path, int] = MappingProxyType({})) -> Iterator[str]:
    """The end of the newest attempt's log of every Step that has one, else of its job's; `lines` = 0 means the whole.

    `sizes`: bytes to read."""
    for entry in entries:
        for log in [attempt.log for attempt in entry.folder.attempts()[-1:]] or _logs(entry):
            yield f"{entry.name} ({entry.state}): {log}"
            text = log.read_bytes()[: sizes.get(log)] if log.exists() else b"(no log)"
            yield from (f"  {line}" for line in text.decode(errors="replace").splitlines()[-lines:])


def follow(look: Callable[[], Sequence[Entry]], busy: Callable[[], bool], lines: int) -> Iterator[str]:
    """What `logs` prints, then each new line as it comes, until none of these Steps runs, nor can any in a run under way.

    `look` finds the Steps anew, `busy` tells of a run under way. A Step that was seen once is followed to its end.
    """
    known = {entry.fingerprint: _Followed(entry) for entry in look()}
    sizes = {followed.log: followed.bytes_read for followed in known.values() if followed.log}
    yield from logs([followed.entry for followed in known.values()], lines, sizes)
    goes_on, last = True, 0.0
    while goes_on:
        for entry in look():
            known.setdefault(entry.fingerprint, _Followed(entry, new=True))
        # Before reading, so that no last line is lost.
        states = {key: followed.entry.folder.state() for key, followed in known.items()}
        at_work = bool({"running", "queued"} & set(states.values()))
        last = time.monotonic() if at_work else last
        pauses = time.monotonic() - last < AGAIN_SECONDS and any(followed.may_begin_again() for followed in known.values())
        goes_on = at_work or pauses or (busy() and set(states.values()) != {"done"})
        for key, followed in known.items():
            yield from followed.news(states[key], f"{followed.entry.name}: " if len(known) > 1 else "  ")
        if goes_on:
            time.sleep(LOOK_SECONDS)


class _Followed:
    """A Step whose newest log is read on; where that is silent, its curve speaks now and then."""

    def __init__(self, entry: Entry, new: bool = False) -> None:
        seen = _logs(entry)[: -1 if new else None]
        self.entry, self.log = entry, seen[-1] if seen else None
        self.bytes_read = self.log.stat().st_size if self.log else 0
        self.heard = time.monotonic()

    def may_begin_again(self) -> bool:
        """Its job has not left the queue, as far as is known."""
        folder, queued = self.entry.folder, self.entry.folder.queued_as()
        return queued is not None and not folder.done and not folder.store.array(queued.array).closed.exists()

    def news(self, state: State, prefix: str) -> Iterator[str]:
        """The rest of the log that is being read, then each newer one."""
        found = _logs(self.entry)
        yield from self._rest(state, prefix)
        for log in found[found.index(self.log) + 1 :] if self.log in found else found:
            self.log, self.bytes_read = log, 0
            yield f"{self.entry.name} ({state}): {log}"
            yield from self._rest(state, prefix)

    def _rest(self, state: State, prefix: str) -> Iterator[str]:
        if self.log is None:
            return
        text = _since(self.log, self.bytes_read)
        self.bytes_read += len(text)
        new = text.decode(errors="replace").splitlines()
        if not new and state == "running" and time.monotonic() - self.heard >= QUIET_SECONDS:
            new = [", ".join(filter(None, describe(Attempt(self.log.parent).last_metrics())))]
        if new:
            self.heard = time.monotonic()
        yield from (prefix + line for line in new)


def _logs(entry: Entry) -> list[Path]:
    """Of its attempts, oldest first; where none began, that of its job."""
    attempts, queued = entry.folder.attempts(), entry.folder.queued_as()
    jobs = [entry.folder.store.array(queued.array).log(queued.index)] if queued and not attempts else []
    return [log for log in [*(attempt.log for attempt in attempts), *jobs] if log.exists()]


def _since(log: Path, offset: int) -> bytes:
    """The whole lines that were written after the first `offset` bytes."""
    with log.open("rb") as file:
        file.seek(offset)
        text = file.read()
    return text[: text.rfind(b"\n") + 1]


def garbage(found: Sequence[Waste], deleted: bool) -> Iterator[str]:
    for waste in found:
        yield f"{waste.path}: {waste.why}, {size(waste.size)}"
    total = size(sum(waste.size for waste in found))
    if not found:
        yield "Nothing to delete: a spec needs every run folder."
    elif deleted:
        yield f"{counted(len(found), 'folder')} deleted, {total} freed."
    else:
        yield f"{counted(len(found), 'folder')}, {total}; nothing deleted. simclr-spec gc --delete deletes them."
