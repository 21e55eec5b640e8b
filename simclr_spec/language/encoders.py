"""The encoders of a spec: rows, or a grid of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from simclr_spec.core.errors import Fault, SpecError
from simclr_spec.language.coordinates import matches
from simclr_spec.language.document import Document, Path
from simclr_spec.stages.network import BOTTLENECKS

MOST_ENCODERS = 10_000

_ENCODERS: Path = ("encoders",)
"""Where they stand; the place of a row of a grid, which has no table of its own."""


@dataclass(frozen=True, kw_only=True)
class EncoderAxes:
    """One row of a spec's `encoders`. None = the recipe's head."""

    depth: int
    width: int = 1
    sk: bool = False
    head_layers: int | None = None
    head_width: int | None = None

    def coordinates(self) -> dict[str, Any]:
        """Only what is set."""
        return {key: value for key, value in vars(self).items() if value is not None}


class EncoderRow(NamedTuple):
    """An encoder, its table (a grid's rows have only the grid), and where each of its values is written."""

    encoder: EncoderAxes
    path: Path
    values: Mapping[str, Path]


def _rows(document: Document) -> Iterator[EncoderRow]:
    """Explicit rows, or product x zip groups, less `exclude`, plus `include`."""
    encoders = document.data["encoders"]
    if isinstance(encoders, list):
        yield from _written(encoders, _ENCODERS)
        return
    for places in _grid(document, encoders):
        encoder = EncoderAxes(**{key: value for key, (value, _) in places.items()})
        if not any(matches(encoder.coordinates(), selector) for selector in encoders.get("exclude", [])):
            yield EncoderRow(encoder, _ENCODERS, {key: path for key, (_, path) in places.items()})
    yield from _written(encoders.get("include", []), (*_ENCODERS, "include"))


def _written(rows: list[dict[str, Any]], at: Path) -> Iterator[EncoderRow]:
    for i, row in enumerate(rows):
        yield EncoderRow(EncoderAxes(**row), (*at, i), {key: (*at, i, key) for key in row})


def _grid(document: Document, encoders: dict[str, Any]) -> Iterator[dict[str, tuple[Any, Path]]]:
    """Rows as key -> value and its place."""
    factors: list[list[dict[str, tuple[Any, Path]]]] = [
        [{key: (value, (*_ENCODERS, "product", key, i))} for i, value in enumerate(values)]
        for key, values in encoders.get("product", {}).items()
    ]
    groups = encoders.get("zip", [])
    for i, group in enumerate(groups):
        factors.append(
            [
                {key: (values[k], (*_ENCODERS, "zip", i, key, k)) for key, values in group.items()}
                for k in range(min(map(len, group.values())))
            ]
        )
    if not factors:
        return
    if found := [*_unequal(document, groups), *_misshapen(document, factors)]:
        raise SpecError(found)
    for combination in itertools.product(*factors):
        yield {key: value for part in combination for key, value in part.items()}


def _unequal(document: Document, groups: list[dict[str, list[Any]]]) -> Iterator[Fault]:
    for i, group in enumerate(groups):
        lengths = {key: len(values) for key, values in group.items()}
        if len(set(lengths.values())) > 1:
            shown = ", ".join(f"{key} {length}" for key, length in lengths.items())
            yield document.fault((*_ENCODERS, "zip", i), f"the lists of a zip group must be equally long, not {shown}")


def _misshapen(document: Document, factors: list[list[dict[str, Any]]]) -> Iterator[Fault]:
    """Of a grid as a whole."""
    keys = [key for factor in factors for key in factor[0]]
    count = math.prod(map(len, factors))
    if count > MOST_ENCODERS:
        yield document.fault(_ENCODERS, f"this grid has {count:,} encoders; at most {MOST_ENCODERS:,} are read", key=True)
    for key in dict.fromkeys(key for key in keys if keys.count(key) > 1):
        yield document.fault(_ENCODERS, f"{key} is in two factors of the grid; keep one", key=True)
    if "depth" not in keys:
        yield document.fault(_ENCODERS, "the grid lacks 'depth'; add it to product or to a zip group", key=True)


def read_encoders(document: Document) -> tuple[tuple[EncoderRow, ...], list[Fault]]:
    """Every encoder once, and the faults; one with SK on basic blocks stays, for the faults of the stages that need it."""
    rows: dict[EncoderAxes, EncoderRow] = {}
    faults: list[Fault] = []
    try:
        for row in _rows(document):
            if (same := rows.setdefault(row.encoder, row)) is not row:
                faults.append(_twice(document, same, row))
            elif row.encoder.sk and row.encoder.depth < BOTTLENECKS:
                has_none = f"depth {row.encoder.depth} has none; use depth ≥ {BOTTLENECKS} or sk = false"
                sentence = f"SK needs bottleneck blocks; {has_none}"
                faults.append(document.fault(row.values["sk"], sentence))
    except SpecError as error:
        return (), [*faults, *error.faults]
    if not rows:
        faults.append(document.fault(_ENCODERS, "this grid has no encoders; loosen `exclude` or add `include`", key=True))
    return tuple(rows.values()), faults


def _twice(document: Document, first: EncoderRow, second: EncoderRow) -> Fault:
    """At the later row; of a grid, at the first value that stands elsewhere than the earlier row's."""
    key = next(key for key in second.values if key in first.values and first.values[key] != second.values[key])
    earlier, later = (row.values[key] if row.path == _ENCODERS else row.path for row in (first, second))
    line, column = document.places.of(earlier, key=False)
    return document.fault(later, f"this encoder stands twice; first at {line}:{column}; keep one")
