"""Times as files tell them."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    """To the second: `2026-11-25T13:15:00+00:00`."""
    return datetime.now(UTC).isoformat(timespec="seconds")
