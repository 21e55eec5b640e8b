"""Figures: the points that they show, and that what is drawn is all of these and nothing else."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import pytest
from scipy import stats

from simclr_spec.language import declared
from simclr_spec.language.coordinates import parse
from simclr_spec.plan import compile
from simclr_spec.report.figures import bars, diagram, style
from simclr_spec.report.figures.drawn import png, svg
from simclr_spec.report.figures.points import Drawing, drawing
from simclr_spec.report.figures.said import correlation, described
from simclr_spec.report.formats.html import render
from simclr_spec.report.table import Table, make
from simclr_spec.store.layout import Store
from tests.finished import FEW, finish
from tests.reports import SMALL, of, write
from tests.typed import run

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


def _figure(kind: str, more: str = "", panels: str = SERIES) -> str:
    return f'\n[[figures]]\ntitle = "F & <G>"\nkind = "{kind}"\n{more}\n{panels}'


def _table(tmp_path: Path, store: Store, figure: str, scale: str | None = None) -> Table:
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


def _drawing(table: Table) -> Drawing:
    return drawing(table, table.report.figures[0])


def _seen(shown: Drawing) -> dict[str, tuple[float, float | None, object, float | None]]:
    return {point.cell.row.title: (round(point.x, 1), point.mean, point.paper, point.adopted) for point in shown.points}


# Points


def test_x_may_be_a_column_and_ours_and_the_papers_have_their_own(tmp_path: Path, store: Store) -> None:
    shown = _drawing(_table(tmp_path, store, _figure("lines", 'x = "size"')))
    assert _seen(shown) == {
        "narrow": (23.6, 52.0, (24, 50), None),
        "deep": (42.6, None, None, None),
        "wide": (94.0, 65.0, (94, 60), None),
    }
    assert [point.x for point in shown.points] == sorted(point.x for point in shown.points)
    assert shown.categories == ()


def test_x_may_be_a_coordinate_or_the_rows(tmp_path: Path, store: Store) -> None:
    by_width = _drawing(_table(tmp_path, store, _figure("lines", 'x = "width"')))
    assert {row: seen[0] for row, seen in _seen(by_width).items()} == {"narrow": 1, "deep": 1, "wide": 2}
    by_sk = _drawing(_table(tmp_path, store, _figure("lines", 'x = "sk"')))
    assert by_sk.categories == ("false",)
    by_row = _drawing(_table(tmp_path, store, _figure("bars")))
    assert by_row.categories == ("narrow", "wide", "deep", "theirs")
    assert _seen(by_row)["theirs"] == (3, None, None, 33.3)


def test_of_several_points_at_one_x_the_best_of_ours_and_of_the_papers(tmp_path: Path, store: Store) -> None:
    chosen = SERIES.replace('column = "1 %"', 'column = "1 %", rows = ["narrow", "wide"]')
    table = _table(tmp_path, store, _figure("lines", 'x = "depth"\nbest = true', chosen))
    assert _seen(_drawing(table)) == {"wide": (50, 65.0, (50, 60), None)}


def test_where_not_all_of_the_papers_are_known_its_best_is_at_least_the_known_one(tmp_path: Path, store: Store) -> None:
    table = _table(tmp_path, store, _figure("lines", 'x = "sk"\nbest = true'))
    (point,) = _drawing(table).points
    assert (point.mean, point.paper, point.best_known_of) == (65.0, (0, 60), "wide")
    assert "65.0 (1) / paper at least 60.0 (wide)" in described(_drawing(table))
    picture = svg(table, table.report.figures[0])
    assert "the paper's best is at least what is known of it (wide)" in _text(picture)
    assert len(_marks(picture, "paper")) == 1


def test_figure_5_has_the_points_that_table_1_has(store: Store) -> None:
    table = make("figure5", store, scale="paper")
    known = {(point.paper, point.best_known_of) for point in _drawing(table).points if point.paper}
    papers = {cell.paper for cell in table.cells if cell.row.title == "3 layers, from 1"} - {None}
    assert {paper[1] for paper, _ in known if paper} >= papers
    assert {row for _, row in known} == {"3 layers, from 0", "3 layers, from 1"}


def test_gains_are_ours_over_ours_and_the_papers_over_the_papers(tmp_path: Path, store: Store) -> None:
    shown = _drawing(_table(tmp_path, store, _figure("lines", 'x = "size"\nrelative_to = "narrow"')))
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
    figure = _figure("lines", 'x = "width"\nrelative_to = "tuned"', chosen)
    shown = _drawing(make(write(tmp_path, text + figure), store))
    base, wide = shown.points
    assert (base.mean, base.sd) == (0, None)
    assert wide.mean == pytest.approx(10)
    assert wide.sd == pytest.approx(0)
    assert [y for _, y in wide.seeds] == pytest.approx([10, 10])
    assert "2 → 10.0 ± 0.0 (2)" in described(shown)


def test_rows_of_a_series_are_chosen_by_coordinates_or_by_title(tmp_path: Path, store: Store) -> None:
    for chosen in ("where = { width = 2 }", 'rows = ["wide"]'):
        panels = SERIES.replace('column = "1 %"', f'column = "1 %", {chosen}')
        shown = _drawing(_table(tmp_path, store, _figure("lines", 'x = "size"', panels)))
        assert [point.cell.row.title for point in shown.points] == ["wide"]


def test_a_scatter_pairs_seeds_and_takes_the_papers_pairs_where_both_are_known(tmp_path: Path, store: Store) -> None:
    shown = _drawing(_table(tmp_path, store, _figure("scatter", 'x = "linear"')))
    assert _seen(shown)["narrow"] == (41.0, 52.0, (40, 50), None)
    assert _seen(shown)["wide"] == (42.0, 65.0, None, None)


def test_a_scatter_tells_the_papers_pairs_and_each_correlation(tmp_path: Path, store: Store) -> None:
    table = _table(tmp_path, store, _figure("scatter", 'x = "linear"'))
    words = described(_drawing(table))
    assert "41 → 52.0 (1) / paper 50.0 at 40" in words
    assert "correlation: ours n 2, the paper's n 1" in words
    shown = render(table).replace("&#x27;", "'")
    assert "<td>50.0 at 40</td>" in shown
    assert "fine-tuned: ours n 2, the paper's n 1</caption>" in shown


def test_each_correlation_stands_in_its_own_panel(tmp_path: Path, store: Store) -> None:
    panel = 'series = [{ title = "fine-tuned", column = "1 %" }]'
    panels = f'panels = [{{ title = "a", {panel} }}, {{ title = "b", {panel} }}]'
    table = _table(tmp_path, store, _figure("scatter", 'x = "linear"', panels))
    groups = ElementTree.fromstring(svg(table, table.report.figures[0])).iter(f"{SVG}g")
    axes = [_text(ElementTree.tostring(group, "unicode")) for group in groups if "-axes_" in group.get("id", "")]
    assert [("n 2" in text, "n 1" in text) for text in axes] == [(True, True)] * 2


def test_columns_of_a_figures_data_that_are_empty_are_left_out(tmp_path: Path, store: Store) -> None:
    figure = _figure("lines", 'x = "size"')
    for scale, heads in [(None, ["ours (n)", "the paper's"]), ("digits", ["ours (n)"])]:
        shown = render(_table(tmp_path, store, figure, scale)).replace("&#x27;", "'")
        data = shown.partition("Its data as a table")[2].partition("</table>")[0]
        assert re.findall('<th scope="col">([^<]+)', data) == ["series", "size", *heads]


def test_a_level_is_a_cells_value_ours_and_the_papers(tmp_path: Path, store: Store) -> None:
    level = SERIES.replace("] }]", '], level = { title = "all", row = "narrow", column = "1 %" } }]')
    on = _drawing(_table(tmp_path, store, _figure("lines", 'x = "size"', level)))
    line = on.panels[0].level
    assert line is not None
    assert (line.title, line.ours, line.paper) == ("all", 52.0, 50)


def test_points_load_no_matplotlib() -> None:
    code = "import sys, simclr_spec.report.figures.points; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# Off the paper's scale (law 8)


@pytest.mark.parametrize("kind", KINDS)
def test_off_the_papers_scale_nothing_of_the_papers_is_drawn(kind: str, tmp_path: Path, store: Store) -> None:
    more = "" if kind == "bars" else f'x = "{"linear" if kind == "scatter" else "size"}"'
    table = _table(tmp_path, store, _figure(kind, more), scale="digits")
    assert all(point.paper is None and point.adopted is None for point in _drawing(table).points)
    picture = svg(table, table.report.figures[0])
    assert "a rehearsal, NOT the paper" in picture
    assert "paper's (hollow)" not in picture
    assert "33.3" not in picture
    assert re.search(r"\d+ deviations and \d+ assumptions", picture)
    assert not _marks(picture, "paper")
    assert not _marks(picture, "adopted")


@pytest.mark.parametrize("kind", KINDS)
def test_at_the_papers_scale_its_points_stand_beside_ours(kind: str, tmp_path: Path, store: Store) -> None:
    more = "" if kind == "bars" else f'x = "{"linear" if kind == "scatter" else "size"}"'
    table = _table(tmp_path, store, _figure(kind, more))
    picture = svg(table, table.report.figures[0])
    assert len(_marks(picture, "paper")) == (1 if kind == "scatter" else 2)
    assert ("theirs" in picture) == (kind == "bars")
    assert "the paper's values of 1 cell are not known" in picture.replace("&#x27;", "'")


# What is drawn


def _text(picture: str) -> str:
    """All that can be read, in one line."""
    return " ".join("".join(ElementTree.fromstring(picture).itertext()).split())


def _marks(picture: str, what: str) -> list[ElementTree.Element]:
    """Marks and bars of one kind, over all panels and series."""
    groups = [group for group in ElementTree.fromstring(picture).iter(f"{SVG}g") if f"-{what}-" in group.get("id", "")]
    return [mark for group in groups for mark in (*group.iter(f"{SVG}use"), *_bars(group))]


def _bars(group: ElementTree.Element) -> list[ElementTree.Element]:
    return [path for path in group.findall(f"{SVG}path") if path.get("d", "").rstrip().endswith("z")]


FEW_LABELS = SMALL + _figure(
    "lines",
    'x = "width"',
    'panels = [{ series = [{ title = "1", column = "1 per class" }, { title = "all", column = "all" }] }]',
)


@pytest.mark.parametrize("kind", ["lines", "bars"])
def test_no_point_is_hidden(kind: str, tmp_path: Path, store: Store) -> None:
    steps = [step for step in compile([FEW]).steps if step.stage in ("supervised", "finetune")]
    for number, step in enumerate(steps):
        finish(store, step, {"top1": 40.0 + 0.5 * number})
    text = FEW_LABELS if kind == "lines" else FEW_LABELS.replace('kind = "lines"\nx = "width"', 'kind = "bars"')
    table = make(write(tmp_path, text), store)
    picture = svg(table, table.report.figures[0])
    assert len(_marks(picture, "seeds")) == sum(len(cell.numbers) for cell in table.cells) == 16
    assert len(_marks(picture, "ours")) == 4
    assert "n = 4" in picture


@pytest.mark.parametrize("figure", [1, 2, 3, 4, 5, 6])
def test_the_papers_figures_are_drawn_before_anything_ran(figure: int, store: Store) -> None:
    table = make(f"figure{figure}", store, scale="digits")
    for one in table.report.figures:
        picture = svg(table, one)
        assert ("no result yet" in picture) == (one.kind != "diagram")
        assert picture == svg(table, one)


def test_an_svg_tells_what_is_seen_and_takes_the_colour_of_its_page(tmp_path: Path, store: Store) -> None:
    text = FEW_LABELS + _figure("bars", "", 'panels = [{ series = [{ title = "1", column = "1 per class" }] }]')
    table = make(write(tmp_path, text), store)
    first, second = (svg(table, figure) for figure in table.report.figures)
    root = ElementTree.fromstring(first)
    title, described = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert described is not None
    assert (root.get("role"), title.text) == ("img", "F & <G>")
    assert root.get("aria-labelledby") == f"{title.get('id')} {described.get('id')}"
    assert {"currentColor", style.INK} & set(re.findall(r"currentColor|#\w{6}", first)) == {"currentColor"}
    assert not {"xlink:href", "src"} & {key for e in root.iter() for key, value in e.items() if value.startswith("http")}
    of_first, of_second = (
        {e.get("id") for e in ElementTree.fromstring(text).iter() if e.get("id")} for text in (first, second)
    )
    assert not of_first & of_second
    used = set(re.findall(r'href="#([^"]+)|url\(#([^)]+)', first))
    assert {name for pair in used for name in pair if name} <= of_first


def test_every_point_is_told_in_words(tmp_path: Path, store: Store) -> None:
    table = _table(tmp_path, store, _figure("lines", 'x = "size"\nlog = true'))
    described = ElementTree.fromstring(svg(table, table.report.figures[0])).findtext(f"{SVG}desc")
    told = "fine-tuned: 23.56 → 52.0 (1) / paper 50.0 at 24, 42.61 → paper open, 94.01 → 65.0 (1) / paper 60.0 at 94"
    assert described is not None
    assert told.replace("paper open", "–") in described
    assert "logarithmic" in described


def test_pictures_have_the_same_bytes_whatever_the_users_style(tmp_path: Path, store: Store) -> None:
    table = _table(tmp_path, store, _figure("lines", 'x = "size"\nlog = true'))
    figure = table.report.figures[0]
    before = png(table, figure), svg(table, figure)
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "svg.hashsalt": "x"}):
        assert (png(table, figure), svg(table, figure)) == before
        assert matplotlib.rcParams["font.size"] == 20
    assert struct.unpack(">I", before[0][16:20]) == (840,)  # 4.2 inches


def test_colours_stand_out_on_white_and_on_dark() -> None:
    def luminance(colour: str) -> float:
        linear = [((c + 0.055) / 1.055) ** 2.4 if c > 0.04045 else c / 12.92 for c in matplotlib.colors.to_rgb(colour)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colour in style.COLOURS:
        assert 1.05 / (luminance(colour) + 0.05) >= 3, colour
        assert (luminance(colour) + 0.05) / (luminance("#121212") + 0.05) >= 3, colour


def test_series_differ_without_colour() -> None:
    looks = [style.of_series(number) for number in range(8)]
    assert len({look["marker"] for look in looks}) == 8
    assert len({(look["marker"], str(look["linestyle"])) for look in map(style.of_series, range(8))}) == 8
    assert len(set(bars.HATCHES)) == len(bars.HATCHES)
    assert not set(bars.HATCHED) & set("".join(bars.HATCHES)), "the literature's"


def test_correlations_are_those_of_the_points() -> None:
    places = [(1.0, 2.0), (2.0, 3.0), (3.0, 3.5), (4.0, 9.0)]
    r = stats.pearsonr([1, 2, 3, 4], [2, 3, 3.5, 9]).statistic
    assert correlation(places) == f"r {r:.2f}, ρ 1.00, n 4"
    assert correlation(places[:2]) == "n 2"


# Diagrams


def test_a_diagram_has_the_stages_and_parents_of_the_plan() -> None:
    found = diagram.stages(compile([FEW]))
    assert set(found.arrows) == {
        ("pretrain", "from", "linear"),
        ("pretrain", "from", "finetune"),
        ("finetune", "teacher", "self_distill"),
        ("self_distill", "teacher", "distill"),
    }
    assert {name: box.column for name, box in found.boxes.items()} == {
        "pretrain": 0,
        "supervised": 0,
        "linear": 1,
        "finetune": 1,
        "self_distill": 2,
        "distill": 3,
    }
    assert found.boxes["self_distill"].title == "self_distill (distill)"
    assert found.boxes["pretrain"].steps == "2 Steps · width 1, 2"
    assert len({(box.column, box.row) for box in found.boxes.values()}) == 6


# Files


def test_one_figure_is_one_file_and_several_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one = write(tmp_path, FEW_LABELS)
    assert run("report", one, "-o", "a/one.svg").output.startswith("a/one.svg: 0 of 4 cells")
    assert Path("a/one.svg").read_text().startswith("<svg")
    assert run("report", one, "-o", "one.png").exit_code == 0
    assert Path("one.png").read_bytes().startswith(b"\x89PNG")
    assert run("report", one, "--format", "svg").output.startswith("<svg")
    two = write(tmp_path, FEW_LABELS + _figure("bars", "", 'panels = [{ series = [{ title = "1", column = "all" }] }]'))
    assert run("report", two, "-o", "two.svg").output.startswith("two-1.svg, two-2.svg: ")
    assert sorted(path.name for path in tmp_path.glob("two*")) == ["two-1.svg", "two-2.svg"]
    done = run("report", two, "--format", "png")
    assert (done.exit_code, done.output) == (2, "2 figures are as many files: name them, as in -o mine.png\n")


def test_a_table_without_a_figure_has_none_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("report", "quickstart", "-o", "q.svg")
    assert done.output == "quickstart has no figure to write as .svg; give it one ([[figures]]), or draw its --curves\n"
    assert (done.exit_code, list(tmp_path.iterdir())) == (2, [])


@pytest.mark.parametrize("name", declared.names("report"))
def test_no_series_is_without_rows(name: str, store: Store) -> None:
    table = make(name, store)
    for figure in table.report.figures:
        for panel in drawing(table, figure).panels:
            assert all(series.points for series in panel.series), (figure.title, panel.title)


SELECTED = """
relative_to = "narrow"
x = "size"
"""


def test_a_selector_takes_neither_x_nor_the_base_nor_a_level(tmp_path: Path, store: Store) -> None:
    level = SERIES.replace(" }] }]", ' }], level = { title = "l", row = "narrow", column = "linear" } }]')
    whole = _table(tmp_path, store, _figure("lines", SELECTED) + _figure("lines", 'x = "size"', level))
    table = make(whole.name, store, selector=parse(["stage=finetune", "width=2"]))
    assert [row.title for row in table.report.rows] == ["wide"]
    assert table.subtitle[-1] == "only stage=finetune width=2"
    for figure in whole.report.figures:
        (all_of,), (left,) = drawing(whole, figure).panels, drawing(table, figure).panels
        assert left.level == all_of.level
        assert [point.x for point in left.series[0].points] == [all_of.series[0].points[-1].x]
        assert left.series[0].points[0].mean == all_of.series[0].points[-1].mean is not None
    assert drawing(table, table.report.figures[1]).panels[0].level is not None


@pytest.mark.parametrize(
    ("series", "more", "fault"),
    [
        (
            '{ title = "s", column = "1 %", where = { depth = 51 } }',
            'x = "size"',
            "21:62: no cell in column '1 %' is in the series 's': none has depth=51",
        ),
        (
            '{ title = "s", column = "linear", rows = ["theirs"] }',
            "best = true",
            "21:64: no cell in column 'linear' is in the series 's'",
        ),
        (
            '{ title = "s", column = "1 %", rows = ["theirs"] }',
            'x = "size"',
            "21:61: no row of the series 's' has a value of 'size', along x",
        ),
        (
            '{ title = "s", column = "1 %" }',
            'x = "teacher_depth"',
            "21:47: no row of the series 's' has a value of 'teacher_depth', along x",
        ),
    ],
)
def test_a_series_without_a_point_is_a_fault_with_its_place(series: str, more: str, fault: str, tmp_path: Path) -> None:
    name = write(tmp_path, AT_PAPER_SCALE + _figure("lines", more, f"panels = [{{ series = [{series}] }}]\n"))
    done = run("check", name)
    assert (done.exit_code, done.output.splitlines()[0]) == (2, f"{name}:{fault}")
