"""Somebody else's evaluation of published weights, which stands in the weights file alone: columns that show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from simclr_spec.core.errors import SpecError, UsageError
from simclr_spec.language.document import Document
from simclr_spec.language.report import Report
from simclr_spec.language.weights import Set, chosen, read_weights
from simclr_spec.report.cells import Cell

_EXAMPLE = "name WEIGHTS/SET, as in simclrv2/pretrained"


def sets(report: Report, source: Document) -> Mapping[int, Set]:
    """Place of each such column -> the networks of whose numbers it shows. Raises SpecError."""
    return {j: _set(source, j, column.remeasured) for j, column in enumerate(report.columns) if column.remeasured}


def _set(source: Document, j: int, text: str) -> Set:
    place, (name, _, wanted) = ("columns", j, "remeasured"), text.rpartition("/")
    if source.data["columns"][j].get("where"):
        raise SpecError([source.fault(place, "re-measured numbers stand in place of Steps: leave out this column's `where`")])
    try:
        found = chosen(read_weights(name, source.folder), wanted) if name else f"{text!r} is no set: {_EXAMPLE}"
    except (SpecError, UsageError) as error:
        found = str(error).splitlines()[0]
    if isinstance(found, Set) and all(network.remeasured is None for network in found.networks):
        found = f"nobody re-measured {text}"
    if isinstance(found, str):
        raise SpecError([source.fault(place, found)])
    return found


def beside(cell: Cell, weights: Set) -> Cell | None:
    """The cell with the number of its row's network; None where the set has no such network."""
    where = cell.row.where or {}
    for network in weights.networks:
        if all(where.get(key) == value for key, value in network.encoder.items()):
            return replace(cell, steps=(), adopted=network.remeasured, source=weights.remeasured_by)
    return None
