"""One report: its setting, its table, its figures and what stands below."""

from __future__ import annotations

from collections.abc import Iterator

from simclr_spec.core.words import counted
from simclr_spec.language.report import Row
from simclr_spec.report.cells import Cell
from simclr_spec.report.lines import nothing_yet, shortened
from simclr_spec.report.notes import Note
from simclr_spec.report.page.cell import cell_popover, in_table, opens
from simclr_spec.report.page.figure import figure
from simclr_spec.report.page.markup import Html, command, element, folded, joined, scrolling
from simclr_spec.report.page.steps import Steps
from simclr_spec.report.table import Table


def section(table: Table, steps: Steps, title: str) -> Html:
    """Compact where nothing was begun."""
    heading = element("h2", title, id=f"{table.name}:title")
    body = _unstarted(table) if table.cells and table.is_empty else _started(table, steps)
    return element("section", heading, setting(table), *body, id=table.name, aria_labelledby=f"{table.name}:title")


def setting(table: Table) -> Html:
    """Law 8: what is not the paper's setting says so first, and loudly."""
    first, *rest = table.subtitle
    loud = not table.at_paper_scale or "CHANGED" in first
    said = element("strong", first, class_="loud" if loud else "quiet")
    return element("p", said, *(f" · {part}" for part in rest), class_="setting")


def _unstarted(table: Table) -> list[Html]:
    return [element("p", nothing_yet(table)), element("div", *map(_note, shortened(table)), class_="notes")]


def _started(table: Table, steps: Steps) -> Iterator[Html]:
    if table.cells:
        yield _grid(table)
    yield from (figure(table, of) for of in table.report.figures)
    yield element("div", *(_note(note) for note in table.notes if note.name != "Figures"), class_="notes")
    yield joined(cell_popover(table, cell, steps) for cell in table.cells if opens(cell))


def _grid(table: Table) -> Html:
    heads = (element("th", column.title, scope="col") for column in table.report.columns)
    corner = element("td", element("span", table.report.metric, class_="unseen"))
    rows = [
        element("tr", _row_head(row), *(in_table(table, cell) for cell in cells), class_="literature" if row.adopted else None)
        for row, cells in zip(table.report.rows, table.rows, strict=True)
    ]
    body = element("tbody", joined(rows, "\n"))
    caption = element("caption", _legend(table))
    inner = element("table", caption, element("thead", element("tr", corner, *heads)), body, class_="results")
    return scrolling(inner, table.report.title)


def _row_head(row: Row) -> Html:
    if row.adopted is None:
        return element("th", row.title, scope="row")
    return element("th", row.title, element("small", f"adopted from {row.source}"), scope="row")


def _legend(table: Table) -> str:
    """What stands in a cell."""
    seeds = max((len(cell.steps) for cell in table.cells), default=0)
    value = f"{table.report.metric}: mean ± sd over seeds (n)" if seeds > 1 else f"{table.report.metric} (n = number of seeds)"
    other = " (or one from elsewhere)" if any(cell.elsewhere for cell in table.cells) else ""
    paper = f"; below it the paper's value{other}, ours − paper, and the verdict" if _has_paper(table.cells) else ""
    return f"{value}{paper}. A cell opens its Steps."


def _has_paper(cells: list[Cell]) -> bool:
    return any(cell.paper is not None for cell in cells)


def _note(note: Note) -> Html:
    """Groups are folded with their count; commands can be copied; MIXED provenance is flagged."""
    name = element("b", note.name)
    if note.groups:
        groups = (joined((element("dt", stages), element("dd", *_items(items)))) for stages, items in note.groups)
        summary = joined((name, f" in {counted(len(note.items), 'field')}"))
        return folded(summary, element("dl", *groups), class_="note")
    if note.name == "Next":
        return element("div", name, *map(command, note.items), class_="note")
    return element("p", name, " ", alarm(note.text), note.text, class_="note")


def alarm(text: str) -> Html:
    """Before what tells of mixed provenance."""
    return element("strong", "⚠ mixed: ", class_="alarm") if "MIXED" in text else Html()


def _items(items: tuple[str, ...]) -> list[Html]:
    return [element("span", item, class_="item") for item in items]
