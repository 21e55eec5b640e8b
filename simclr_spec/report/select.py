"""Which Steps each cell of a report shows: exactly one per chain of seeds, checked before anything else."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from simclr_spec.core.errors import Fault, SpecError, UsageError, did_you_mean
from simclr_spec.core.words import typed
from simclr_spec.language import coordinates
from simclr_spec.language.document import MOST_FAULTS, Document
from simclr_spec.language.document.positions import Path
from simclr_spec.language.report import Report, load
from simclr_spec.plan import Plan, Step, compile
from simclr_spec.plan.overrides import concerning
from simclr_spec.report import remeasured, series
from simclr_spec.report.cells import Cell, declared
from simclr_spec.stages.kind import ENCODER
from simclr_spec.stages.kinds import KINDS

_FEW = 10
Seeds = tuple[tuple[str, int], ...]
"""(coordinate, seed)"""


def validate(name: str) -> None:
    """Whether every cell of the report `name` is one of its spec's Steps per seed, and every series has cells.

    Raises SpecError; loads no pandas."""
    report, source = load(name)
    faults = []
    for i, other in enumerate(report.paper_of):
        try:
            load(other)
        except (SpecError, UsageError) as error:
            faults.append(source.fault(("paper_of", i), f"{other} cannot be read: {str(error).splitlines()[0]}"))
    if faults:
        raise SpecError(faults)
    of(name)


def of(name: str, scale: str | None = None, sets: Sequence[str] = ()) -> tuple[Report, Plan, list[list[Cell | None]]]:
    """The report, its plan with those of the `sets` that concern it, and its cells. Raises SpecError."""
    report, source = load(name)
    plan = compile(report.spec, scale=scale, sets=concerning(sets, report.spec))
    return report, plan, select(report, source, plan)


def select(report: Report, source: Document, plan: Plan) -> list[list[Cell | None]]:
    """One list per row, one place per column (None where the row has no cell). Raises SpecError with every cell's fault, and
    of every series of a figure that has none."""
    faults: list[Fault] = []
    table: list[list[Cell | None]] = []
    index = _Index(plan)
    in_column = [index.places(column.where) for column in report.columns]
    of_files = remeasured.sets(report, source)
    lost = {
        j: unheard_of
        for j, column in enumerate(report.columns)
        if (unheard_of := _unheard_of(column.where, ("columns", j), source, index))
    }
    faults += itertools.chain(*lost.values())
    for i, row in enumerate(report.rows):
        cells: list[Cell | None] = []
        lost_row = _unheard_of(row.where or {}, ("rows", i), source, index)
        faults += lost_row
        in_row = index.places(row.where) if row.where is not None else set()
        names = row.columns or tuple(column.title for column in report.columns)
        for j, column in enumerate(report.columns):
            if column.title not in names:
                cells.append(None)
                continue
            at = names.index(column.title)
            found = index.steps(in_row & in_column[j])
            metric = column.metric or report.metric
            cell = declared(Cell(row=row, column=column, metric=metric, steps=tuple(found)), report, at)
            if column.remeasured and row.where is not None:
                cells.append(adopted := remeasured.beside(cell, of_files[j]))
                if adopted is None:
                    wanted = coordinates.as_selector({key: row.where.get(key) for key in ENCODER})
                    faults.append(source.fault(("rows", i, "where"), f"{column.remeasured} has no network with {wanted}"))
                continue
            has_fault = bool(lost_row) or j in lost
            if row.where is not None and not has_fault and (sentence := _fault(cell, list(found.values()), index)):
                faults.append(source.fault(("rows", i, "columns", at) if row.columns else ("rows", i, "where"), sentence))
            if sentence := _metric_fault(cell):
                faults.append(source.fault((*(("columns", j) if column.metric else ()), "metric"), sentence))
            cells.append(cell)
        table.append(cells)
        if len(faults) >= MOST_FAULTS:
            break
    if faults := faults or [*series.faults(report, source, table)]:
        raise SpecError(faults[:MOST_FAULTS])
    return table


def _unheard_of(where: Mapping[str, Any], at: Path, source: Document, index: _Index) -> list[Fault]:
    """A fault for each of these coordinates that no Step at all has."""
    faults = []
    for key in [key for key, value in where.items() if not index.places({key: value})]:
        known = {have for name, have in index.having if name == key}
        hint = did_you_mean(typed(where[key]), map(typed, known))
        sentence = f"no Step has {coordinates.as_selector({key: where[key]})}"
        faults.append(source.fault((*at, "where", key), sentence + (hint or _choices(key, known))))
    return faults


def _choices(key: str, known: AbstractSet[Any]) -> str:
    return f"; {key} is {' or '.join(map(typed, sorted(known)))}" if 0 < len(known) <= _FEW else ""


class _Index:
    """The Steps of a plan under every name they have, by coordinate: a large report asks for thousands of cells."""

    def __init__(self, plan: Plan) -> None:
        self.known = [(step, where) for step in plan.steps for where in (step.coordinates, *step.also)]
        self.having: dict[tuple[str, Any], set[int]] = {}
        for place, (_, where) in enumerate(self.known):
            for item in where.items():
                self.having.setdefault(item, set()).add(place)

    def places(self, selector: Mapping[str, Any]) -> set[int]:
        """Where in `known` the coordinates agree with the whole selector."""
        found = [self._any_of(key, wanted if isinstance(wanted, list) else [wanted]) for key, wanted in selector.items()]
        return set.intersection(*sorted(found, key=len)) if found else set(range(len(self.known)))

    def _any_of(self, key: str, values: Sequence[Any]) -> set[int]:
        found = [self.having.get((key, value), set()) for value in values]
        return found[0] if len(found) == 1 else set().union(*found)

    def steps(self, places: Iterable[int]) -> dict[Step, coordinates.Coordinates]:
        """Each Step once, with the first of these coordinates; in order of the seeds."""
        found: dict[Step, coordinates.Coordinates] = {}
        for place in sorted(places):
            found.setdefault(*self.known[place])
        return dict(sorted(found.items(), key=lambda pair: seeds_of(pair[1])))


def _is_seed(key: str) -> bool:
    return key == "seed" or key.endswith("_seed")


def seeds_of(where: coordinates.Coordinates) -> Seeds:
    """The chain of seeds, the parents' included."""
    return tuple(sorted((key, value) for key, value in where.items() if _is_seed(key)))


def _fault(cell: Cell, found: Sequence[coordinates.Coordinates], index: _Index) -> str | None:
    """The sentence when the cell does not select exactly one Step per chain of seeds."""
    assert cell.row.where is not None
    wanted = coordinates.as_selector({**cell.row.where, **cell.column.where})
    place = f"row {cell.row.title!r}, column {cell.column.title!r}"
    if not cell.steps:
        return f"{place}: no Step has {wanted}{_nearest({**cell.row.where, **cell.column.where}, index)}"
    plain = [{key: value for key, value in where.items() if not _is_seed(key)} for where in found]
    differing = sorted(
        {key for where in plain for key in (where.keys() | plain[0].keys()) if where.get(key) != plain[0].get(key)}
    )
    if differing:
        differences = ", ".join(f"{key} ({', '.join(_values(plain, key))})" for key in differing)
        return f"{place}: {len(cell.steps)} Steps have {wanted}; they differ in {differences}: name it in the row or the column"
    if len({seeds_of(where) for where in found}) < len(found):
        ids = ", ".join(step.id for step in cell.steps[:3])
        return f"{place}: {len(cell.steps)} Steps have {wanted} and the same seeds ({ids}); a cell takes one per seed"
    return None


def _metric_fault(cell: Cell) -> str | None:
    """The sentence when Steps of the cell do not measure its metric."""
    for step in cell.steps:
        if KINDS[step.kind].from_file:
            continue  # published weights in the place of a training: what that would measure is missing
        known = (*KINDS[step.kind].metrics, *(KINDS[step.kind].quantities(step.config) if cell.planned else ()))
        if cell.metric not in known:
            hint = did_you_mean(cell.metric, known) or f"; it measures {', '.join(known)}"
            return f"{step.kind} does not measure {cell.metric!r}{hint}"
    return None


def _values(plain: Sequence[dict[str, Any]], key: str) -> list[str]:
    seen: dict[str, None] = {}
    for where in plain:
        seen.setdefault(typed(where[key]) if key in where else "none", None)
    return list(seen)


def _nearest(wanted: dict[str, Any], index: _Index) -> str:
    """Which single coordinate no Step has with the others, when there is one."""
    for key in wanted:
        rest = {k: v for k, v in wanted.items() if k != key}
        others = [dict(index.known[place][1]) for place in sorted(index.places(rest)) if key in index.known[place][1]]
        known = _values(others, key) if rest else []
        if known:
            return f"; with the rest, {key} is {' or '.join(known)}"
    return ""
