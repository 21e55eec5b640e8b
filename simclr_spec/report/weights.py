"""Whose weights a table's numbers begin with, where they were trained elsewhere: origin, licence, and which bytes are meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from simclr_spec.core.words import counted, plain
from simclr_spec.plan import Step
from simclr_spec.report.notes import Note
from simclr_spec.report.provenance import DIGITS
from simclr_spec.stages.kinds import KINDS

RECORDED = "weights_sha256"
"""Of a file whose SHA-256 nobody declares, what the Step read."""
_HOW = ("declared", "as read", "not read yet")


def note(steps: Sequence[Step], results: pd.DataFrame) -> Note | None:
    """An item for each source of files; None where all weights are trained here."""
    recorded = {str(key): sha256 for key, sha256 in results[RECORDED].dropna().items()} if RECORDED in results else {}
    sources: dict[tuple[str, str, str], list[Step]] = {}
    for step in steps:
        if KINDS[step.kind].from_file:
            origin, licence = (_known(step, results, fact) for fact in ("origin", "licence"))
            sources.setdefault((_title(step), origin, licence), []).append(step)
    items = tuple(_item(*source, files, recorded) for source, files in sources.items())
    return Note("Weights", items) if items else None


def _known(step: Step, results: pd.DataFrame, fact: str) -> str:
    """As its result says, else the weights file: what our own files bring is known once they are read."""
    seen = results[fact].get(step.fingerprint) if fact in results else None
    return seen if isinstance(seen, str) else str(step.params["weights"][fact])


def _title(step: Step) -> str:
    document = step.origins["weights.file"].document
    assert document is not None
    return str(document.data["title"])


def _item(title: str, origin: str, licence: str, steps: Sequence[Step], recorded: Mapping[str, str]) -> str:
    """`TITLE: 13 files from ORIGIN, licence Apache-2.0, SHA-256 of 1 as read, of 12 not read yet`."""
    what = steps[0].params["weights"]["file"] if len(steps) == 1 else counted(len(steps), "file")
    known = [digest(step.params["weights"], recorded.get(step.fingerprint)) for step in steps]
    parts = [f"{title}: {what}", f"from {origin}", f"licence {licence}"]
    if len(steps) == 1:
        parts.append(_said(*known[0]))
    else:
        counts = ((sum(how == each for _, how in known), each) for each in _HOW)
        parts.append("SHA-256 " + ", ".join(f"of {count} {each}" for count, each in counts if count))
    return ", ".join([*parts, *dict.fromkeys(text for step in steps for text in _assumed(step))])


def digest(weights: Mapping[str, Any], recorded: str | None) -> tuple[str, str]:
    """SHA-256 of the file, perhaps none, and how it is known."""
    if weights["sha256"]:
        return weights["sha256"], "declared"
    return (recorded, "as read") if recorded else ("", "not read yet")


def _said(sha256: str, how: str) -> str:
    return f"SHA-256 {sha256[:DIGITS]} {how}" if sha256 else f"SHA-256 {how}"


def facts(step: Step, result: Mapping[str, Any]) -> str:
    """Of one Step that read a file; `result` is its result.json."""
    held = step.params["weights"]
    known = {**held, **result}
    return f"{held['file']}, from {known['origin']}, licence {known['licence']}, {_said(*digest(held, result.get(RECORDED)))}"


def _assumed(step: Step) -> Iterator[str]:
    """What of the file is an assumption, but for its SHA-256, of which more is said."""
    for name, setting in step.origins.items():
        if name.startswith("weights.") and name != "weights.sha256" and setting.is_assumption:
            yield f"{name.removeprefix('weights.')} {plain(setting.value)} assumed ({setting.source})"
