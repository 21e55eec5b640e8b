"""A report filled in: what every output format shows, and nothing that only one of them knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from simclr_spec.core.words import counted
from simclr_spec.language import report as report_language
from simclr_spec.language.coordinates import Selector
from simclr_spec.plan import Plan, Step, compile
from simclr_spec.plan.departures import at_paper_scale, deviating
from simclr_spec.plan.overrides import concerning
from simclr_spec.report import cells, narrow, notes, provenance, reading, select, weights
from simclr_spec.report.cells import Cell
from simclr_spec.report.notes import Note
from simclr_spec.stages.kinds import KINDS
from simclr_spec.store import results
from simclr_spec.store.history import RecordedPlan, last_plan, located
from simclr_spec.store.layout import Store
from simclr_spec.store.reasons import Folders
from simclr_spec.store.staleness import Images


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells under a heading, with the notes below."""

    name: str
    """as it was asked for: declared, or a path"""
    report: report_language.Report
    plan: Plan
    at_paper_scale: bool
    subtitle: tuple[str, ...]
    rows: tuple[tuple[Cell | None, ...], ...]
    compared: tuple[Cell, ...]
    """what figures compare the cells with, whatever is selected"""
    notes: tuple[Note, ...]
    store: Store
    states: Mapping[str, str]
    """by fingerprint, of all Steps behind the cells"""
    finished: int
    """how many of these have a result"""

    @property
    def cells(self) -> list[Cell]:
        return [cell for row in self.rows for cell in row if cell is not None]

    @property
    def filled(self) -> str:
        """`3 of 78 cells`, of those for which Steps must run."""
        measured = [cell for cell in self.cells if cell.measured]
        return f"{sum(cell.complete for cell in measured)} of {counted(len(measured), 'cell')}" if measured else "a diagram"

    @property
    def is_empty(self) -> bool:
        """No cell has a number, nor a Step that was begun; of a diagram, no Step of its plan has a result."""
        return all(cell.adopted is None and not begun(cell) for cell in self.cells) if self.rows else not self.finished

    @property
    def is_off(self) -> bool:
        """For --strict: a cell lacks runs, is off, or would match if it did not depart from the recipe."""
        return any(not cell.complete or cell.verdict in ("off", "deviates") for cell in self.cells)


def make(
    name: str, store: Store, scale: str | None = None, sets: tuple[str, ...] = (), selector: Selector | None = None
) -> Table:
    """The report `name` over the plan of these options; over the plan that ran last when there are none. Raises SpecError.

    `sets` that name nothing of its specs are another's. A `selector` leaves the Steps that it selects, and the cells and rows
    that have such Steps."""
    report, source = report_language.load(name)
    plan, recorded = planned(report.spec, store, scale, sets)
    if recorded is not None:
        scale, sets = recorded.scale, recorded.sets
    selected = select.select(report, source, plan)
    if at_paper_scale(plan, plan.steps):
        borrowed = {name: number for other in report.paper_of for name, number in _numbers_of(other, scale, sets).items()}
        selected = [[cell and _beside(cell, borrowed) for cell in row] for row in selected]
    states_of_all = Folders(plan, Images(store, plan.specs)).states
    whole = selected
    if selector is not None:
        report, selected = narrow.narrowed(report, selected, plan.select(selector, states_of_all), selector)
    compared = narrow.compared(report, whole, selected)
    shown = [step for row in (*selected, compared) for cell in row if cell for step in cell.steps]
    steps = notes.chain(plan, shown or plan.steps)  # a diagram shows them all
    states = {step.fingerprint: states_of_all[step.fingerprint] for step in steps}
    found = results.frame(store.folder(step.id) for step in steps if states[step.fingerprint] != "stale")
    metrics = {cell.metric for row in (*selected, compared) for cell in row if cell} & set(found.columns)
    numbers = {metric: found[metric].to_dict() for metric in metrics}
    paper = at_paper_scale(plan, steps)
    changed = deviating(steps)
    if not paper:
        report, selected = _without_adopted(report, selected)
    trained = plan.descendants(step.fingerprint for step in steps if KINDS[step.kind].trains)
    fill = partial(cells.fill, states=states, numbers=numbers, at_paper_scale=paper, deviating=changed, trained=trained)
    rows = tuple(tuple(cell and fill(cell) for cell in row) for row in selected)
    filled = [cell for row in rows for cell in row if cell]
    below = (
        *reading.notes(report, filled),
        missing(filled),
        notes.deviations(steps),
        notes.assumptions(steps),
        provenance.made_from(steps, found),
        weights.note(steps, found),
        notes.next_commands(steps, states, plan.arguments, store, selector),
    )
    return Table(
        name=name,
        report=report,
        plan=plan,
        at_paper_scale=paper,
        subtitle=subtitle(plan, steps, recorded, selector),
        rows=rows,
        compared=tuple(map(fill, compared)),
        notes=tuple(note for note in below if note),
        store=store,
        states=states,
        finished=len(found),
    )


def planned(specs: Sequence[str], store: Store, scale: str | None, sets: tuple[str, ...]) -> tuple[Plan, RecordedPlan | None]:
    """The plan of these options that concern the specs; the one that ran last when there are none. Raises SpecError."""
    recorded = None if scale or sets else _last_plan(store, specs)
    if recorded is not None:
        scale, sets = recorded.scale, recorded.sets
    with located(store, specs):
        return compile(specs, scale=scale, sets=concerning(sets, specs)), recorded


def _last_plan(store: Store, specs: Sequence[str]) -> RecordedPlan | None:
    """The plan that ran last of any of these specs."""
    found = [plan for spec in specs if (plan := last_plan(store, spec))]
    return max(found, key=lambda plan: plan.time, default=None)


Same = tuple[frozenset[str], str]
"""Fingerprints and metric: what makes two cells the same."""


def same(cell: Cell) -> Same:
    return frozenset(step.fingerprint for step in cell.steps), cell.metric


def _numbers_of(name: str, scale: str | None, sets: Sequence[str]) -> dict[Same, Cell]:
    """The cells of another report for which the paper has a value."""
    _, _, rows = select.of(name, scale, sets)
    return {same(cell): cell for row in rows for cell in row if cell and (cell.paper is not None or cell.open)}


def _beside(cell: Cell, known: Mapping[Same, Cell]) -> Cell:
    """With the paper's value of the same cell elsewhere, where it has none of its own."""
    other = known.get(same(cell))
    if other is None or cell.paper is not None or cell.adopted is not None:
        return cell
    return replace(cell, paper=other.paper, open=other.open, elsewhere=other.elsewhere, source=other.source)


def _without_adopted(
    report: report_language.Report, rows: list[list[Cell | None]]
) -> tuple[report_language.Report, list[list[Cell | None]]]:
    """Beside networks of another scale no number of the literature stands, nor what the report says of the paper's."""
    kept = [i for i, row in enumerate(report.rows) if row.adopted is None]
    columns = [j for j, column in enumerate(report.columns) if not column.remeasured]
    ours = replace(
        report,
        rows=tuple(report.rows[i] for i in kept),
        columns=tuple(report.columns[j] for j in columns),
        paper_notes=(),
    )
    return ours, [[rows[i][j] for j in columns] for i in kept]


def begun(cell: Cell) -> bool:
    """Whether a Step of the cell has a result, or was tried."""
    return not cell.planned and any(value.number is not None or value.state != "new" for value in cell.values)


def missing(cells: Iterable[Cell]) -> Note | None:
    """The Steps of all cells that have no number."""
    values = (value for cell in cells for value in cell.values)
    return notes.missing((value.step.fingerprint, value.state) for value in values if value.number is None)


def subtitle(plan: Plan, steps: Sequence[Step], recorded: RecordedPlan | None, selector: Selector | None) -> tuple[str, ...]:
    """The setting of these Steps, what one types to have their plan again, and what of it is shown."""
    if not at_paper_scale(plan, steps):
        setting = "a rehearsal, NOT the paper's setting"
    else:
        setting = "the paper's recipe, CHANGED (see the deviations)" if deviating(steps) else "the paper's recipe"
    scale = [plan.scale_title] if plan.scale_title else []
    only = [f"only {selector}"] if selector else []
    return (setting, *scale, f"{plan.arguments}, as run {recorded.time[:16]}" if recorded else plan.arguments, *only)
