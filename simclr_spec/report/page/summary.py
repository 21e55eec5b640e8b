"""What one reads first: how much there is, how it stands to the paper, what it took, what is missing and what to type next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from simclr_spec.report import provenance
from simclr_spec.report.cells import Cell
from simclr_spec.report.page.markup import Html, command, element, folded, joined, scrolling
from simclr_spec.report.page.section import alarm, setting
from simclr_spec.report.page.steps import Steps
from simclr_spec.report.table import Table, missing, same
from simclr_spec.store import results

SIGNS = {"match": "✓", "off": "✗", "deviates": "≠", "undecided": "?", "unjudged": "·", "missing": "…"}

_COMMANDS = 4
"""That stand there at once."""


def summary(tables: Sequence[Table], steps: Steps) -> Html:
    cells = [cell for table in tables for cell in table.cells]
    done, hours, versions = _made_from(steps)
    tiles = [*_reports(tables), _tile("Cells", *_filled(cells)), _tile("Runs", *done)]
    tiles += [_tile("Beside the paper", _verdicts(cells))] if any(cell.verdict and not cell.planned for cell in cells) else []
    tiles += [_tile("Spent", " · ".join(hours))] if hours else []
    parts: list[Html] = [element("div", *tiles, class_="tiles")]
    if versions:
        parts.append(element("p", element("b", "Made with"), " ", alarm(versions), versions))
    parts += [*_missing(cells), *_next_commands(tables)]
    return element("section", element("h2", "Summary", id="summary:title"), *parts, id="summary")


def contents(tables: Sequence[Table]) -> Html:
    """The reports with their settings: where to read on."""
    heads = ("Report", "Setting", "Cells", "Beside the paper")
    head = element("tr", *(element("th", title, scope="col") for title in heads))
    rows = (
        element(
            "tr",
            element("th", element("a", table.report.title, href=f"#{table.name}"), scope="row"),
            element("td", setting(table)),
            element("td", *_filled(table.cells)),
            element("td", _verdicts(table.cells) or "–"),
        )
        for table in tables
    )
    caption = element("caption", "Each with its setting, and how many of its cells are filled")
    inner = element("table", caption, element("thead", head), element("tbody", *rows), class_="plain contents")
    return element("nav", element("h2", "Reports"), scrolling(inner, "Reports"), aria_label="Reports")


def _reports(tables: Sequence[Table]) -> Iterator[Html]:
    if len(tables) > 1:
        empty = sum(bool(table.cells) and table.is_empty for table in tables)
        yield _tile("Reports", str(len(tables)), *([element("small", f" · {empty} not begun")] if empty else []))


def _tile(name: str, *value: str) -> Html:
    return element("div", element("span", name, class_="name"), element("span", *value, class_="said"), class_="tile")


def _filled(cells: Sequence[Cell]) -> tuple[str, Html]:
    """Of the cells that need a run."""
    measured = [cell for cell in cells if cell.measured]
    return _share(sum(cell.complete for cell in measured), len(measured)) if measured else ("–", Html())


def _share(part: int, whole: int) -> tuple[str, Html]:
    said = f"{part:,} of {whole:,}"
    return said, element("progress", said, value=part, max=max(whole, 1), aria_label=said)


def _verdicts(cells: Sequence[Cell]) -> Html:
    """`✓ 5 match`, of each verdict on something that was run; a cell that stands in several reports counts once."""
    counts = Counter[str]({same(cell): cell.verdict for cell in cells if cell.verdict and not cell.planned}.values())
    found = ((sign, counts[verdict], verdict) for verdict, sign in SIGNS.items() if counts[verdict])
    return joined((element("span", f"{sign} {n:,} {verdict}", class_=f"verdict {verdict}") for sign, n, verdict in found), " ")


def _made_from(steps: Steps) -> tuple[tuple[str, Html], list[str], str]:
    """Runs done, hours spent, versions: those of the note, over all tables."""
    counted_ones = [known for known in steps.values() if known.state != "stale"]
    frame = results.frame(known.folder for known in counted_ones if known.result)
    items = provenance.made_from([known.step for known in counted_ones], frame).items[1:]
    hours = [item for item in items if item.endswith("-hours")]
    return _share(len(frame), len(steps)), hours, " · ".join(item for item in items if item not in hours)


def _missing(cells: Sequence[Cell]) -> list[Html]:
    """States of the Steps without a number."""
    note = missing(cells)
    return [element("p", element("b", "Missing"), f" {note.text}")] if note else []


def _next_commands(tables: Sequence[Table]) -> list[Html]:
    """Of all tables, each once."""
    found = dict.fromkeys(item for table in tables for note in table.notes if note.name == "Next" for item in note.items)
    first, rest = [*found][:_COMMANDS], [*found][_COMMANDS:]
    more = [folded(f"and {len(rest)} more", *map(command, rest))] if rest else []
    return [element("div", element("b", "Next"), *map(command, first), *more, class_="note")] if found else []
