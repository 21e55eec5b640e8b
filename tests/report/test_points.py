"""The points that a figure shows: ours, the paper's, gains, correlations, levels."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from simclr_spec.plan import compile
from simclr_spec.report.figures.drawn import svg
from simclr_spec.report.figures.said import described
from simclr_spec.report.formats.html import render
from simclr_spec.report.table import make
from simclr_spec.store.layout import Store
from tests.drawings import SERIES, SVG, drawing_of, figure_of, marks, seen, table_with, text_of
from tests.finished import FEW, finish
from tests.reports import SMALL, of, write


def test_x_may_be_a_column_and_ours_and_the_papers_have_their_own(tmp_path: Path, store: Store) -> None:
    shown = drawing_of(table_with(tmp_path, store, figure_of("lines", 'x = "size"')))
    assert seen(shown) == {
        "narrow": (23.6, 52.0, (24, 50), None),
        "deep": (42.6, None, None, None),
        "wide": (94.0, 65.0, (94, 60), None),
    }
    assert [point.x for point in shown.points] == sorted(point.x for point in shown.points)
    assert shown.categories == ()


def test_x_may_be_a_coordinate_or_the_rows(tmp_path: Path, store: Store) -> None:
    by_width = drawing_of(table_with(tmp_path, store, figure_of("lines", 'x = "width"')))
    assert {row: seen[0] for row, seen in seen(by_width).items()} == {"narrow": 1, "deep": 1, "wide": 2}
    by_sk = drawing_of(table_with(tmp_path, store, figure_of("lines", 'x = "sk"')))
    assert by_sk.categories == ("false",)
    by_row = drawing_of(table_with(tmp_path, store, figure_of("bars")))
    assert by_row.categories == ("narrow", "wide", "deep", "theirs")
    assert seen(by_row)["theirs"] == (3, None, None, 33.3)


def test_of_several_points_at_one_x_the_best_of_ours_and_of_the_papers(tmp_path: Path, store: Store) -> None:
    chosen = SERIES.replace('column = "1 %"', 'column = "1 %", rows = ["narrow", "wide"]')
    table = table_with(tmp_path, store, figure_of("lines", 'x = "depth"\nbest = true', chosen))
    assert seen(drawing_of(table)) == {"wide": (50, 65.0, (50, 60), None)}


def test_where_not_all_of_the_papers_are_known_its_best_is_at_least_the_known_one(tmp_path: Path, store: Store) -> None:
    table = table_with(tmp_path, store, figure_of("lines", 'x = "sk"\nbest = true'))
    (point,) = drawing_of(table).points
    assert (point.mean, point.paper, point.best_known_of) == (65.0, (0, 60), "wide")
    assert "65.0 (1) / paper at least 60.0 (wide)" in described(drawing_of(table))
    picture = svg(table, table.report.figures[0])
    assert "the paper's best is at least what is known of it (wide)" in text_of(picture)
    assert len(marks(picture, "paper")) == 1


def test_figure_5_has_the_points_that_table_1_has(store: Store) -> None:
    table = make("figure5", store, scale="paper")
    known = {(point.paper, point.best_known_of) for point in drawing_of(table).points if point.paper}
    papers = {cell.paper for cell in table.cells if cell.row.title == "3 layers, from 1"} - {None}
    assert {paper[1] for paper, _ in known if paper} >= papers
    assert {row for _, row in known} == {"3 layers, from 0", "3 layers, from 1"}


def test_gains_are_ours_over_ours_and_the_papers_over_the_papers(tmp_path: Path, store: Store) -> None:
    shown = drawing_of(table_with(tmp_path, store, figure_of("lines", 'x = "size"\nrelative_to = "narrow"')))
    wide = next(point for point in shown.points if point.cell.row.title == "wide")
    assert wide.mean == pytest.approx(25.0)  # 65 over 52
    assert wide.paper is not None
    assert wide.paper[1] == pytest.approx(20.0)  # 60 over 50
    assert [y for _, y in wide.seeds] == pytest.approx([25.0])


def test_gains_are_those_of_the_same_chain_of_seeds(tmp_path: Path, store: Store) -> None:
    """Both rows spread by 17, and each gain is 10 %."""
    measured = {1: [40.0, 50.0, 60.0, None], 2: [44.0, 55.0, None, 99.0]}
    for width, numbers in measured.items():
        steps = of(compile([FEW]), stage="finetune", width=width, labels_per_class=1)
        for step, number in zip(steps, numbers, strict=True):
            if number is not None:
                finish(store, step, {"top1": number})
    text = SMALL.replace('stage = "supervised", width = 1', 'stage = "finetune", width = 2')
    chosen = SERIES.replace('"1 %"', '"1 per class"')
    figure = figure_of("lines", 'x = "width"\nrelative_to = "tuned"', chosen)
    shown = drawing_of(make(write(tmp_path, text + figure), store))
    base, wide = shown.points
    assert (base.mean, base.sd) == (0, None)
    assert wide.mean == pytest.approx(10)
    assert wide.sd == pytest.approx(0)
    assert [y for _, y in wide.seeds] == pytest.approx([10, 10])
    assert "2 → 10.0 ± 0.0 (2)" in described(shown)


def test_rows_of_a_series_are_chosen_by_coordinates_or_by_title(tmp_path: Path, store: Store) -> None:
    for chosen in ("where = { width = 2 }", 'rows = ["wide"]'):
        panels = SERIES.replace('column = "1 %"', f'column = "1 %", {chosen}')
        shown = drawing_of(table_with(tmp_path, store, figure_of("lines", 'x = "size"', panels)))
        assert [point.cell.row.title for point in shown.points] == ["wide"]


def test_a_scatter_pairs_seeds_and_takes_the_papers_pairs_where_both_are_known(tmp_path: Path, store: Store) -> None:
    shown = drawing_of(table_with(tmp_path, store, figure_of("scatter", 'x = "linear"')))
    assert seen(shown)["narrow"] == (41.0, 52.0, (40, 50), None)
    assert seen(shown)["wide"] == (42.0, 65.0, None, None)


def test_a_scatter_tells_the_papers_pairs_and_each_correlation(tmp_path: Path, store: Store) -> None:
    table = table_with(tmp_path, store, figure_of("scatter", 'x = "linear"'))
    words = described(drawing_of(table))
    assert "41 → 52.0 (1) / paper 50.0 at 40" in words
    assert "correlation: ours n 2, the paper's n 1" in words
    shown = render(table).replace("&#x27;", "'")
    assert "<td>50.0 at 40</td>" in shown
    assert "fine-tuned: ours n 2, the paper's n 1</caption>" in shown


def test_each_correlation_stands_in_its_own_panel(tmp_path: Path, store: Store) -> None:
    panel = 'series = [{ title = "fine-tuned", column = "1 %" }]'
    panels = f'panels = [{{ title = "a", {panel} }}, {{ title = "b", {panel} }}]'
    table = table_with(tmp_path, store, figure_of("scatter", 'x = "linear"', panels))
    groups = ElementTree.fromstring(svg(table, table.report.figures[0])).iter(f"{SVG}g")
    axes = [text_of(ElementTree.tostring(group, "unicode")) for group in groups if "-axes_" in group.get("id", "")]
    assert [("n 2" in text, "n 1" in text) for text in axes] == [(True, True)] * 2


def test_columns_of_a_figures_data_that_are_empty_are_left_out(tmp_path: Path, store: Store) -> None:
    figure = figure_of("lines", 'x = "size"')
    for scale, heads in [(None, ["ours (n)", "the paper's"]), ("digits", ["ours (n)"])]:
        shown = render(table_with(tmp_path, store, figure, scale)).replace("&#x27;", "'")
        data = shown.partition("Its data as a table")[2].partition("</table>")[0]
        assert re.findall('<th scope="col">([^<]+)', data) == ["series", "size", *heads]


def test_a_level_is_a_cells_value_ours_and_the_papers(tmp_path: Path, store: Store) -> None:
    level = SERIES.replace("] }]", '], level = { title = "all", row = "narrow", column = "1 %" } }]')
    on = drawing_of(table_with(tmp_path, store, figure_of("lines", 'x = "size"', level)))
    line = on.panels[0].level
    assert line is not None
    assert (line.title, line.ours, line.paper) == ("all", 52.0, 50)


def test_points_load_no_matplotlib() -> None:
    code = "import sys, simclr_spec.report.figures.points; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# Off the paper's scale (law 8)
