"""Steps that began on other code than was there when they were submitted: a queue may be long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from simclr_spec.core.files import read_json
from simclr_spec.core.words import counted
from simclr_spec.store.layout import RunFolder


def drifted(folders: Iterable[RunFolder]) -> Iterator[str]:
    """A line for each two codes, of the Steps in these folders."""
    found = Counter(codes for folder in folders if (codes := _codes(folder)))
    for (ran, submitted), count in found.items():
        yield f"{counted(count, 'Step')} ran on code {ran}, submitted with {submitted}"


def _codes(folder: RunFolder) -> tuple[str, str] | None:
    """Of the last attempt on other code than its own, that which ran and that which was submitted."""
    if not folder.queued.exists():
        return None
    for attempt in reversed(folder.attempts()):
        record = read_json(attempt.record) or {}
        if "submitted_code" in record:
            return record["code"], record["submitted_code"]
    return None
