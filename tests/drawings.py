"""Figures that the tests draw, over a report at the paper's scale with two rows that have results."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from simclr_spec.plan import compile
from simclr_spec.report.figures.points import Drawing, drawing
from simclr_spec.report.table import Table, make
from simclr_spec.store.layout import Store
from tests.finished import finish
from tests.reports import write

AT_PAPER_SCALE = """
title = "Sizes"
spec = "table1"
source = "a test"
columns = [
  { title = "size", where = { stage = "pretrain" }, metric = "parameters" },
  { title = "1 %", where = { stage = "finetune", label_fraction = 0.01 } },
  { title = "linear", where = { stage = "linear_eval" } },
]
rows = [
  { title = "narrow", where = { depth = 50, width = 1, sk = false }, paper = [24, 50, 40] },
  { title = "wide", where = { depth = 50, width = 2, sk = false }, paper = [94, 60, "none"] },
  { title = "deep", where = { depth = 101, width = 1, sk = false }, paper = [43, "open", 70] },
  { title = "theirs", columns = ["1 %"], adopted = [33.3], source = "S4L" },
]
"""
SERIES = 'panels = [{ series = [{ title = "fine-tuned", column = "1 %" }] }]\n'
MEASURED = {"narrow": 52.0, "wide": 65.0}
KINDS = ["lines", "scatter", "bars"]
SVG = "{http://www.w3.org/2000/svg}"


def figure_of(kind: str, more: str = "", panels: str = SERIES) -> str:
    return f'\n[[figures]]\ntitle = "F & <G>"\nkind = "{kind}"\n{more}\n{panels}'


def table_with(tmp_path: Path, store: Store, figure: str, scale: str | None = None) -> Table:
    """Two of three rows are fine-tuned; the linear classifiers are there."""
    plan = compile(["table1"], scale=scale)
    for step in plan.steps:
        where = step.coordinates
        if store.folder(step.id).done:
            continue
        title = {(50, 1): "narrow", (50, 2): "wide"}.get((where["depth"], where["width"])) if not where["sk"] else None
        if step.stage == "finetune" and where["label_fraction"] == 0.01 and title:
            finish(store, step, {"top1": MEASURED[title]})
        if step.stage == "linear_eval":
            finish(store, step, {"top1": 40.0 + where["width"]})
    return make(write(tmp_path, AT_PAPER_SCALE + figure), store, scale=scale)


def drawing_of(table: Table) -> Drawing:
    return drawing(table, table.report.figures[0])


def seen(shown: Drawing) -> dict[str, tuple[float, float | None, object, float | None]]:
    return {point.cell.row.title: (round(point.x, 1), point.mean, point.paper, point.adopted) for point in shown.points}


# Points


def text_of(picture: str) -> str:
    """All that can be read, in one line."""
    return " ".join("".join(ElementTree.fromstring(picture).itertext()).split())


def marks(picture: str, what: str) -> list[ElementTree.Element]:
    """Marks and bars of one kind, over all panels and series."""
    groups = [group for group in ElementTree.fromstring(picture).iter(f"{SVG}g") if f"-{what}-" in group.get("id", "")]
    return [mark for group in groups for mark in (*group.iter(f"{SVG}use"), *_bars(group))]


def _bars(group: ElementTree.Element) -> list[ElementTree.Element]:
    return [path for path in group.findall(f"{SVG}path") if path.get("d", "").rstrip().endswith("z")]
