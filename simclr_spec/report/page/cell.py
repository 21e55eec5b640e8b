"""A cell in its table, and what it opens: its Steps, seeds, curves, and how it stands to the paper."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import join

from simclr_spec.core.words import fixed
from simclr_spec.report.cells import Cell
from simclr_spec.report.lines import ALARMING
from simclr_spec.report.page import drawing
from simclr_spec.report.page.markup import Html, command, element, opener, pairs, popover, table
from simclr_spec.report.page.steps import Known, Steps, link, planned, state_word
from simclr_spec.report.table import Table, begun
from simclr_spec.report.text import NOTHING, measured, of_the_paper, places

VERDICTS = {
    "match": "as the paper says",
    "off": "not as the paper says",
    "deviates": "as the paper says, but the run departs from its recipe",
    "undecided": "the seeds spread too much to say",
    "unjudged": "one seed, no declared margin, or no number of the paper's: nobody can say",
    "missing": "not all of it has run",
}


def address(table: Table, cell: Cell) -> str:
    return f"{table.name}/{cell.address}"


def opens(cell: Cell) -> bool:
    """Of a row from the literature not every cell has anything."""
    return bool(cell.steps) or cell.adopted is not None


def in_table(shown: Table, cell: Cell | None) -> Html:
    """One place of the table; empty where the row has no cell."""
    if cell is None or not opens(cell):
        return element("td", "" if cell is None else NOTHING, element("span", "no value", class_="unseen"), class_="empty")
    name = address(shown, cell)
    said = measured(cell)
    value = element(
        "span", *(["–", element("span", "nothing yet", class_="unseen")] if said == NOTHING else [said]), class_="value"
    )
    lines = [value, _paper_line(cell)] if of_the_paper(cell) else [value]
    return element("td", opener(f"{name}:cell", *lines, class_=_look(cell)), id=name)


def _paper_line(cell: Cell) -> Html:
    """The verdict may stand in a line of its own."""
    numbers, _, verdict = of_the_paper(cell).rpartition(" ")
    parts = [numbers, " ", verdict] if verdict == cell.verdict else [of_the_paper(cell)]
    return element(
        "span", *(element("span", part) if part.strip() else part for part in parts), class_=f"verdict {cell.verdict or 'open'}"
    )


def _look(cell: Cell) -> str:
    if cell.adopted is not None:
        return "cell adopted"
    if cell.planned:
        return "cell"
    if not begun(cell):
        return "cell nothing"
    return "cell alarm" if any(value.state in ALARMING for value in cell.values) else "cell"


def cell_popover(shown: Table, cell: Cell, steps: Steps) -> Html:
    title = f"{cell.row.title} · {cell.column.title}"
    value = measured(cell) if measured(cell) != NOTHING else "nothing yet"
    head = element("p", element("strong", f"{cell.metric} {value}"), " ", _paper_line(cell) if of_the_paper(cell) else "")
    parts: list[Html] = [head, pairs(_facts(cell))]
    if not cell.planned and len(cell.numbers) + (cell.paper is not None) > 1:
        parts.append(drawing.strip(cell))
    behind = [steps[step.fingerprint] for step in cell.steps]
    if cell.steps:
        parts += _curves(behind)
        parts.append(_seeds(cell, steps))
    parts += [element("h4", "Look closer"), command(_command(shown, cell))]
    return popover(f"{address(shown, cell)}:cell", title, *parts)


def _facts(cell: Cell) -> Iterator[tuple[str, str]]:
    if cell.adopted is not None:
        yield "adopted", f"not run here; from {cell.source}"
    if cell.verdict:
        yield "verdict", f"{cell.verdict}: {VERDICTS[cell.verdict]}"
    if cell.delta is not None and not cell.planned:
        yield f"ours − {cell.whose}", fixed(cell.delta, places(cell), sign=True)
    if cell.paper is not None and cell.half_width:
        yield "90 % interval", f"± {fixed(cell.half_width, places(cell) + 1)}"
    if cell.verdict and cell.within is not None and not cell.elsewhere:
        yield "matches within", f"± {fixed(cell.within, 1)}"
    if cell.source and cell.adopted is None:
        yield ("elsewhere, not the paper's" if cell.elsewhere else "the paper's value"), f"from {cell.source}"
    if cell.deviates:
        yield "deviates", "its Steps depart from the paper's recipe: see the deviations below the table"
    if cell.steps:
        yield from planned(cell.steps[0])


def _seeds(cell: Cell, steps: Steps) -> Html:
    rows = [
        [
            str(value.step.coordinates.get("seed", "–")),
            "–" if value.number is None else fixed(value.number, places(cell)),
            state_word(value.state),
            link(steps[value.step.fingerprint]),
        ]
        for value in cell.values
    ]
    return table(("seed", cell.metric, "state", "Step"), rows, "Steps, one for each seed")


def _curves(behind: list[Known]) -> list[Html]:
    found = [known.curves["loss"] for known in behind if known.begun and known.curves.get("loss")]
    return [drawing.curves("loss", found)] if found else []


def _command(shown: Table, cell: Cell) -> str:
    options = shown.plan.arguments.removeprefix(join(shown.plan.specs))
    return f"simclr-spec plan --cell {join([address(shown, cell)])}{options}{shown.store.option}"
