"""From what a person wants to see to what must run for it: cells by REPORT/ROW/COLUMN, whole reports, all of the paper's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simclr_spec.core.errors import UsageError, did_you_mean
from simclr_spec.language import declared, report
from simclr_spec.language.coordinates import Selector
from simclr_spec.language.declared import SUFFIXES
from simclr_spec.plan import Plan, Step, compile
from simclr_spec.plan.overrides import concerning
from simclr_spec.report import select
from simclr_spec.report.cells import Cell


@dataclass(frozen=True)
class Address:
    """Some cells of a report: all, those of a row, or one."""

    report: str
    row: str = ""
    column: str = ""


def parse(text: str) -> Address:
    """`table3/ours-r50/top1/0.01`; the report may be a path, whose end tells where it is over. Raises UsageError."""
    if not text or (text.startswith("/") and "." not in text) or text.endswith("/") or "//" in text:
        raise UsageError(f"--cell wants REPORT/ROW/COLUMN, or the beginning of that, not {text!r}")
    for suffix in SUFFIXES:
        path, found, rest = text.partition(f"{suffix}/")
        if found:
            return Address(path + suffix, *_row_and_column(rest))
    name, _, rest = (text, "", "") if text.endswith(SUFFIXES) else text.partition("/")
    return Address(name, *_row_and_column(rest))


def _row_and_column(text: str) -> tuple[str, str]:
    row, _, column = text.partition("/")
    return row, column


def of_the_paper() -> list[str]:
    """Declared reports that have a source."""
    return [name for name in declared.names("report") if report.load(name)[0].source]


def specs_of(reports: Sequence[str]) -> list[str]:
    """Each once."""
    return list(dict.fromkeys(spec for name in reports for spec in report.load(name)[0].spec))


def wanted(
    specs: Sequence[str], addresses: Sequence[str], selector: Selector | None, scale: str | None, sets: Sequence[str]
) -> tuple[list[str], Selector]:
    """All that must be compiled, and what selects the Steps of these specs and cells from it. Raises UsageError, SpecError."""
    parsed = [parse(text) for text in addresses]
    names = [*dict.fromkeys([*specs, *specs_of([address.report for address in parsed])])]
    plan = compile(names, scale=scale, sets=sets)
    chosen = set(compile(specs, scale=scale, sets=concerning(sets, specs)).by_fingerprint) if specs else set()
    for address in parsed:
        chosen |= {step.fingerprint for step in steps_at(address, scale, sets)}
    marks = [step.fingerprint[:8] for step in plan.steps if step.fingerprint in chosen]
    asked = selector or Selector({})
    return names, Selector({**asked.table, "fingerprint": marks}, asked.ancestors, asked.descendants)


def steps_at(address: Address, scale: str | None, sets: Sequence[str]) -> Sequence[Step]:
    """What must run for the cells at this address; all of the plan where the report has no cells, being a diagram of it.

    Raises UsageError where there is nothing."""
    shown, plan, rows = select.of(address.report, scale, sets)
    if not shown.rows and not address.row:
        return plan.steps
    cells = [
        cell
        for cell in _measured(rows)
        if address.row in ("", cell.row.address) and address.column in ("", cell.column.address)
    ]
    if not cells:
        raise UsageError(_nothing_at(address, shown))
    return [step for cell in cells for step in cell.steps]


def cells_of(name: str, scale: str | None, sets: Sequence[str]) -> list[Cell]:
    """Every cell of the report for which Steps must run."""
    _, _, rows = select.of(name, scale, sets)
    return _measured(rows)


def _measured(rows: Sequence[Sequence[Cell | None]]) -> list[Cell]:
    return [cell for row in rows for cell in row if cell and cell.measured]


def _nothing_at(address: Address, shown: report.Report) -> str:
    if not shown.rows:
        return f"{address.report} has no rows: it is a diagram of its plan, so name {address.report} alone"
    rows, columns = ([each.address for each in of] for of in (shown.rows, shown.columns))
    if address.row and address.row not in rows:
        hint = did_you_mean(address.row, rows) or f"; its rows are {', '.join(rows)}"
        return f"{address.report} has no row {address.row!r}{hint}"
    if address.column and address.column not in columns:
        hint = did_you_mean(address.column, columns) or f"; its columns are {', '.join(columns)}"
        return f"{address.report} has no column {address.column!r}{hint}"
    return f"nothing must run for what stands there; `simclr-spec report {address.report}` shows it"


def served(plan: Plan, reports: Sequence[str]) -> Mapping[Step, int]:
    """How many cells of these reports need each Step of the plan, itself or through others."""
    counts: Counter[str] = Counter()
    for name in reports:
        for cell in cells_of(name, plan.asked_scale, plan.sets):
            counts.update(plan.ancestors(step.fingerprint for step in cell.steps))
    return {step: counts[step.fingerprint] for step in plan.steps}
