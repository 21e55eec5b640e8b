"""The paper's numbers of published networks: those of the cells that such a network would fill."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from simclr_spec.core.errors import Fault, SpecError, UsageError, did_you_mean
from simclr_spec.language.declared import absolute
from simclr_spec.language.weights import Network, Set, Weights
from simclr_spec.plan.resolve import UNSCALED
from simclr_spec.report import select
from simclr_spec.report.addresses import parse
from simclr_spec.report.cells import Cell


def papers(weights: Weights) -> dict[str, list[float | None]]:
    """Set -> the paper's number of each of its networks. Raises SpecError where a `paper` names no column of a report."""
    found, faults = {}, []
    for each in weights.sets.values():
        try:
            found[each.name] = _of_set(each, weights)
        except UsageError as error:
            faults.append(_fault(each, weights, str(error)))
        except SpecError as error:
            faults.append(_fault(each, weights, str(error).splitlines()[0]))
    if faults:
        raise SpecError(faults)
    return found


def _fault(each: Set, weights: Weights, sentence: str) -> Fault:
    return weights.document.fault(("sets", each.name, "paper"), sentence)


def _of_set(each: Set, weights: Weights) -> list[float | None]:
    if not each.paper:
        return [None] * len(each.networks)
    address = parse(each.paper)
    report, column = address.report, f"{address.row}/{address.column}".strip("/")  # whose name may have a slash
    if not column:
        raise UsageError(f"{each.paper!r} is no column: name REPORT/COLUMN, as in table1/linear")
    cells = _cells(absolute(report, weights.document.folder))
    addresses = dict.fromkeys(cell.column.address for cell in cells)
    if column not in addresses:
        hint = did_you_mean(column, addresses) or f"; there are {', '.join(addresses)}"
        raise UsageError(f"no column of {report} is named {column!r} and has a number of the paper{hint}")
    return [_of_network(network, [cell for cell in cells if cell.column.address == column]) for network in each.networks]


@cache
def _cells(report: str) -> Sequence[Cell]:
    """At the paper's scale, those that have a number of the paper's own."""
    _, _, rows = select.of(report, UNSCALED)
    return [cell for row in rows for cell in row if cell and cell.paper is not None and not cell.elsewhere]


def _of_network(network: Network, cells: Sequence[Cell]) -> float | None:
    """Of the only cell of such an encoder."""
    found = [
        cell.paper
        for cell in cells
        if all(step.coordinates[key] == value for step in cell.steps for key, value in network.encoder.items())
    ]
    return found[0] if len(found) == 1 else None
