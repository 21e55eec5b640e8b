"""What `status`, `logs` and `gc` print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simclr_spec.coordinates import STATES, State
from simclr_spec.dispatch.board import last_error
from simclr_spec.shelf import Entry, Waste
from simclr_spec.show.live import describe
from simclr_spec.store import read_json


def status(entries: Sequence[Entry]) -> str:
    """Counts by stage and state, a line per running Step, each failure with its last line and log."""
    stages = dict.fromkeys(entry.stage for entry in entries)
    shown = [state for state in STATES if any(entry.state == state for entry in entries)]
    rows = [["stage", "steps", *shown]]
    for stage in stages:
        of_stage = [entry for entry in entries if entry.stage == stage]
        rows.append([stage, *_counts(of_stage, shown)])
    if len(stages) > 1:
        rows.append(["total", *_counts(entries, shown)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]) for row in rows
    ]
    return "\n".join([*lines, *_running(entries), *_failures(entries), *_stale(entries)])


def _counts(entries: Sequence[Entry], shown: Sequence[State]) -> list[str]:
    counts = [sum(entry.state == state for entry in entries) for state in shown]
    return [str(len(entries)), *(str(count) if count else "–" for count in counts)]


def _running(entries: Sequence[Entry]) -> Iterator[str]:
    for entry in entries:
        attempts = entry.folder.attempts() if entry.state == "running" else []
        if attempts:
            record = read_json(attempts[-1].record) or {}
            place = f"process {record.get('pid')} on {record.get('host')}"
            yield "  ".join(filter(None, ["▸ " + entry.name, *describe(attempts[-1].last_metrics()), place]))


def _failures(entries: Sequence[Entry]) -> Iterator[str]:
    for entry in entries:
        attempts = entry.folder.attempts() if entry.state == "failed" else []
        if attempts:
            yield f"✗ {entry.name}: {last_error(attempts[-1])}"
            yield f"    {attempts[-1].log}"


def _stale(entries: Sequence[Entry]) -> Iterator[str]:
    names = sorted({entry.dataset["name"] for entry in entries if entry.state == "stale"})
    if names:
        yield f"✗ stale: the images of {', '.join(names)} have changed since; put them back, or see simclr-spec pin --help"


def logs(entries: Sequence[Entry], lines: int) -> Iterator[str]:
    """The end of the newest attempt's log of every Step that has one; `lines` = 0 means the whole."""
    for entry in entries:
        for attempt in entry.folder.attempts()[-1:]:
            yield f"{entry.name} ({entry.state}): {attempt.log}"
            text = attempt.log.read_text(errors="replace").splitlines() if attempt.log.exists() else ["(no log)"]
            yield from (f"  {line}" for line in text[-lines:])


def garbage(found: Sequence[Waste], deleted: bool) -> Iterator[str]:
    for one in found:
        yield f"{one.path}: {one.why}, {size(one.size)}"
    total = size(sum(one.size for one in found))
    if not found:
        yield "Nothing to delete: a spec needs every run folder."
    elif deleted:
        yield f"{len(found)} folders deleted, {total} freed."
    else:
        yield f"{len(found)} folders, {total}; nothing deleted. simclr-spec gc --delete deletes them."


def size(count: int) -> str:
    """`12 kB`, `3.4 MB`."""
    if count < 1000:
        return f"{count} B"
    power = min(4, (len(str(count)) - 1) // 3)
    value, unit = count / 1000**power, ("kB", "MB", "GB", "TB")[power - 1]
    return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
