"""What the numbers of a table were made from: runs, time, versions, machines, images, weights. What is mixed is flagged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from simclr_spec.core.words import number
from simclr_spec.data.splits import Splits
from simclr_spec.plan import Step
from simclr_spec.report.notes import Note
from simclr_spec.stages.kinds import KINDS

DIGITS = 8
"""Of a digest, as many as name a run folder."""


def made_from(steps: Sequence[Step], results: pd.DataFrame) -> Note:
    """Of these Steps, ancestors included and parents first, those that have a result."""
    finished = [step for step in steps if step.fingerprint in results.index]
    done = results.loc[[step.fingerprint for step in finished]]
    items = [f"{len(done)} of {len(steps)} runs"]
    if finished:
        items += _time(done)
        items += _one("code", done["code"], "")
        items += [item for name in ("python", "torch") for item in _one(name, done[name])]
        items += _one("device", done["device"] + " (" + done["accelerator"] + ")", "")
        items += _images(finished, done)
        items += _one("weights", _origins(steps, finished))
    return Note("Made from", tuple(items))


def _time(done: pd.DataFrame) -> list[str]:
    """Core-hours (threads × processes) of the runs on CPUs, GPU-hours (processes) of the others."""
    cuda = done["accelerator"] == "cuda"
    hours = done["seconds"] / 3600 * done["world_size"]
    spent = [("GPU-hours", hours[cuda].sum()), ("core-hours", (hours * done["threads"])[~cuda].sum())]
    return [f"{number(value, 2)} {unit}" for unit, value in spent if value > 0]


def _one(name: str, values: Iterable[Any], prefix: str | None = None) -> list[str]:
    """The value that all have in common; all values, flagged, where they differ; nothing where none is known."""
    found = sorted({str(value) for value in values if not pd.isna(value)})
    if len(found) > 1:
        return [f"MIXED {name}: {', '.join(found)}"]
    return [f"{name} {value}" if prefix is None else prefix + value for value in found]


def _images(finished: Iterable[Step], done: pd.DataFrame) -> list[str]:
    """Of each data set the digest: declared, or seen by the run."""
    seen = done["data_digest"].dropna().to_dict()
    digests: dict[str, list[str | None]] = {}
    for step in finished:
        dataset = step.params["dataset"]
        digest = dataset["digest"] or seen.get(step.fingerprint, "")
        part = "test images" if KINDS[step.kind].splits(dataset) is Splits.TEST else "data"
        digests.setdefault(f"{part} {dataset['name']}", []).append(digest[:DIGITS] or None)
    return [item for name, found in digests.items() for item in _one(name, found)]


def _origins(steps: Iterable[Step], finished: Iterable[Step]) -> set[str]:
    """Where the weights come from with which chains begin: trained here, or the kinds of Step that brought them."""
    of: dict[str, set[str]] = {}
    for step in steps:
        parents = [of[parent] for parent in step.needs.values()]
        own = "trained here" if KINDS[step.kind].trains else f"from {step.kind}"
        of[step.fingerprint] = set().union(*parents) or {own}
    return set().union(*(of[step.fingerprint] for step in finished))
