"""Figures: what is drawn is all of their points, and nothing else."""

from __future__ import annotations

import re
import struct
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
from simclr_spec.report.figures.points import drawing
from simclr_spec.report.figures.said import correlation
from simclr_spec.report.table import make
from simclr_spec.store.layout import Store
from tests.drawings import AT_PAPER_SCALE, KINDS, SERIES, SVG, drawing_of, figure_of, marks, table_with
from tests.finished import FEW, finish
from tests.reports import SMALL, write
from tests.typed import run


@pytest.mark.parametrize("kind", KINDS)
def test_off_the_papers_scale_nothing_of_the_papers_is_drawn(kind: str, tmp_path: Path, store: Store) -> None:
    more = "" if kind == "bars" else f'x = "{"linear" if kind == "scatter" else "size"}"'
    table = table_with(tmp_path, store, figure_of(kind, more), scale="digits")
    assert all(point.paper is None and point.adopted is None for point in drawing_of(table).points)
    picture = svg(table, table.report.figures[0])
    assert "a rehearsal, NOT the paper" in picture
    assert "paper's (hollow)" not in picture
    assert "33.3" not in picture
    assert re.search(r"\d+ deviations and \d+ assumptions", picture)
    assert not marks(picture, "paper")
    assert not marks(picture, "adopted")


@pytest.mark.parametrize("kind", KINDS)
def test_at_the_papers_scale_its_points_stand_beside_ours(kind: str, tmp_path: Path, store: Store) -> None:
    more = "" if kind == "bars" else f'x = "{"linear" if kind == "scatter" else "size"}"'
    table = table_with(tmp_path, store, figure_of(kind, more))
    picture = svg(table, table.report.figures[0])
    assert len(marks(picture, "paper")) == (1 if kind == "scatter" else 2)
    assert ("theirs" in picture) == (kind == "bars")
    assert "the paper's values of 1 cell are not known" in picture.replace("&#x27;", "'")


# What is drawn


FEW_LABELS = SMALL + figure_of(
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
    assert len(marks(picture, "seeds")) == sum(len(cell.numbers) for cell in table.cells) == 16
    assert len(marks(picture, "ours")) == 4
    assert "n = 4" in picture


@pytest.mark.parametrize("figure", [1, 2, 3, 4, 5, 6])
def test_the_papers_figures_are_drawn_before_anything_ran(figure: int, store: Store) -> None:
    table = make(f"figure{figure}", store, scale="digits")
    for one in table.report.figures:
        picture = svg(table, one)
        assert ("no result yet" in picture) == (one.kind != "diagram")
        assert picture == svg(table, one)


def test_an_svg_tells_what_is_seen_and_takes_the_colour_of_its_page(tmp_path: Path, store: Store) -> None:
    text = FEW_LABELS + figure_of("bars", "", 'panels = [{ series = [{ title = "1", column = "1 per class" }] }]')
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
    table = table_with(tmp_path, store, figure_of("lines", 'x = "size"\nlog = true'))
    described = ElementTree.fromstring(svg(table, table.report.figures[0])).findtext(f"{SVG}desc")
    told = "fine-tuned: 23.56 → 52.0 (1) / paper 50.0 at 24, 42.61 → paper open, 94.01 → 65.0 (1) / paper 60.0 at 94"
    assert described is not None
    assert told.replace("paper open", "–") in described
    assert "logarithmic" in described


def test_pictures_have_the_same_bytes_whatever_the_users_style(tmp_path: Path, store: Store) -> None:
    table = table_with(tmp_path, store, figure_of("lines", 'x = "size"\nlog = true'))
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
    two = write(tmp_path, FEW_LABELS + figure_of("bars", "", 'panels = [{ series = [{ title = "1", column = "all" }] }]'))
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
    whole = table_with(tmp_path, store, figure_of("lines", SELECTED) + figure_of("lines", 'x = "size"', level))
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
    name = write(tmp_path, AT_PAPER_SCALE + figure_of("lines", more, f"panels = [{{ series = [{series}] }}]\n"))
    done = run("check", name)
    assert (done.exit_code, done.output.splitlines()[0]) == (2, f"{name}:{fault}")
