"""What is known of a Step that did not end well, or that another process works on, in one line."""

from __future__ import annotations

from datetime import UTC, datetime

from simclr_spec.core.files import read_json
from simclr_spec.store.layout import Attempt, RunFolder


def in_other_hands(folder: RunFolder) -> str:
    """`process 1234 on host works on it since 2026-11-25 13:15 UTC`; without the details before its attempt has begun."""
    attempts = folder.attempts()
    record = (read_json(attempts[-1].record) if attempts else None) or {}
    if record.get("state") != "running":
        return "another process works on it"
    started = datetime.fromisoformat(record["started"]).astimezone(UTC)
    return f"process {record['pid']} on {record['host']} works on it since {started:%Y-%m-%d %H:%M} UTC"


def last_heard(folder: RunFolder) -> str:
    """Of a process on another machine that may work on the Step, or may be gone."""
    holder = folder.holder()
    if holder is None:
        return "another process worked on it"
    beat = datetime.fromtimestamp(holder.beat, UTC)
    return f"process {holder.pid} on {holder.host} was last heard of {beat:%Y-%m-%d %H:%M} UTC"


def last_error(attempt: Attempt) -> str:
    """One line from the record, else the log's last line."""
    record = read_json(attempt.record)
    if record and record.get("error"):
        return str(record["error"])
    try:
        lines = attempt.log.read_text(errors="replace").strip().splitlines()
    except FileNotFoundError:
        return ""
    return lines[-1] if lines else ""
