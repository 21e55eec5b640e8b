"""The page of reports: in a real Chromium where there is one, by keyboard, for a screen reader, in light and dark."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from simclr_spec.plan import Plan, compile
from simclr_spec.report.formats.html import page, render
from simclr_spec.report.page.curves import POINTS, curves_of
from simclr_spec.report.page.drawing import curves
from simclr_spec.report.page.markup import element, joined
from simclr_spec.report.page.page import FOCUS, POLICY
from simclr_spec.report.page.steps import LOG_LINES, all_of
from simclr_spec.report.page.summary import summary
from simclr_spec.report.table import Table, make
from simclr_spec.store.layout import RunFolder, Store
from tests.finished import FEW, fail, finish
from tests.report.chromium import Browser, browsing, chromium
from tests.reports import SMALL, of, write

HOSTILE = "</style><script>window.hit=1</script><img src=x onerror='window.hit=1'> \" onmouseover=\"window.hit=1"
VOID = {"meta", "br"}
CONTRAST = """
(() => {
  document.querySelectorAll('details').forEach(each => each.open = true);
  document.querySelectorAll('[popover]').forEach(each => each.removeAttribute('popover'));
  const numbers = text => text.match(/[\\d.]+/g).map(Number);
  const linear = value => value <= .04045 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4;
  const light = text => { const [r, g, b] = numbers(text).map(v => linear(v / 255)); return .2126 * r + .7152 * g + .0722 * b };
  const ground = node => {
    const colour = node ? getComputedStyle(node).backgroundColor : 'rgb(255, 255, 255)';
    return numbers(colour)[3] === 0 ? ground(node.parentElement) : colour };
  const says = node => [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim());
  return [...document.querySelectorAll('body *')]
    .filter(node => says(node) && (node instanceof HTMLElement || node.matches('.drawing text')))
    .map(node => {
      const style = getComputedStyle(node), colour = node instanceof HTMLElement ? style.color : style.fill;
      const [dark, bright] = [light(colour), light(ground(node))].sort((a, b) => a - b);
      return [(bright + .05) / (dark + .05), node.textContent.slice(0, 40)] });
})()
"""


def _trained(folder: RunFolder) -> None:
    """What its attempt leaves beside the result."""
    (attempt,) = folder.attempts()
    lines = [{"train_step": k, "loss": 3 * math.exp(-k / 40), "epoch": k / 4, "time": 1.0} for k in range(1, 201)]
    attempt.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    attempt.log.write_text("".join(f"train step {k}\n" for k in range(40)) + HOSTILE + "\n")


def _plant(store: Store, plan: Plan) -> None:
    """Most are done, some failed, some new."""
    for number, step in enumerate(plan.steps):
        if number % 7 < 5:
            _trained(finish(store, step, {"top1": 50.0 + number % 9, "linear_top1": 60.0, "loss": 1.25}))
        elif number % 7 == 5:
            fail(store, step)


def _hostile(folder: Path) -> str:
    quoted = json.dumps(HOSTILE)
    text = SMALL.replace('"Small"', quoted).replace('title = "all"', f"title = {quoted}")
    return write(folder, text.replace('"supervised", where', f"{quoted}, where"))


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Table]:
    folder = tmp_path_factory.mktemp("stores")
    store, none = Store(folder / "runs"), Store(folder / "none")
    _plant(store, compile(["table1"]))
    _plant(store, compile([FEW]))
    found = {"paper": make("table1", store), "rehearsal": make(_hostile(folder), store), "new": make("quickstart", none)}
    return found | {"figures": make("figure1", store)}


@pytest.fixture(scope="module")
def pages(tables: dict[str, Table]) -> dict[str, str]:
    return {name: render(table) for name, table in tables.items()} | {"all": page([*tables.values()])}


@pytest.fixture(scope="module")
def files(pages: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for name, text in pages.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in pages}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if chromium() is None:
        pytest.skip("needs Chromium: pages are looked at in a real one")
    with browsing(tmp_path_factory.mktemp("profile")) as started:
        yield started


class _Read(HTMLParser):
    """Every element with its attributes; tags that are not closed where they should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.torn: list[str] = []
        self.text: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.torn.append(tag)

    def all(self, name: str) -> list[str]:
        """Values of that attribute."""
        return [value for _, attributes in self.elements if (value := attributes.get(name))]


# What is written


def test_whatever_is_no_markup_is_escaped() -> None:
    assert element("p", "a < b", class_="x", title='"', hidden=False, autofocus=True) == (
        '<p class="x" title="&quot;" autofocus>a &lt; b</p>'
    )
    assert joined(["<", element("br")]) == "&lt;<br>"


def test_every_page_is_well_formed_and_points_at_what_is_there(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        read = _Read(text)
        assert (read.open, read.torn) == ([], []), name
        ids = Counter(read.all("id"))
        assert [key for key, count in ids.items() if count > 1] == [], name
        pointed = {*read.all("popovertarget"), *(part for value in read.all("aria-labelledby") for part in value.split())}
        pointed |= {value.removeprefix("#") for value in read.all("href")}
        assert pointed <= ids.keys(), name


def test_a_page_needs_nothing_from_elsewhere_and_has_one_script(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        read = _Read(text)
        assert [tag for tag, _ in read.elements].count("script") == text.count(f"<script>{FOCUS}</script>") == 1, name
        attributes = {key for _, found in read.elements for key in found}
        assert not {key for key in attributes if key.startswith("on")} | attributes & {"src", "srcset", "action"}, name
        assert all(value.startswith("#") for key in ("href", "xlink:href") for value in read.all(key)), name
        assert not re.search(r"url\((?!#)|@import", text), name
        assert POLICY in read.all("content")


def test_every_cell_opens_its_steps_which_stand_there_once(pages: dict[str, str], tables: dict[str, Table]) -> None:
    read = _Read(pages["all"])
    places = set(read.all("id"))
    cells = [(table, cell) for name, table in tables.items() if name != "new" for cell in table.cells]
    assert {f"{table.name}/{cell.address}:cell" for table, cell in cells} == {name for name in places if name.endswith(":cell")}
    begun = {key for table in tables.values() for key, state in table.states.items() if state != "new"}
    assert {f"step-{key[:16]}" for key in begun} == {name for name in places if re.fullmatch("step-[0-9a-f]+", name)}
    assert len(pages["all"]) < 20_000 * len(begun)


def test_a_step_tells_its_curve_its_log_and_where_it_was_made(pages: dict[str, str], tables: dict[str, Table]) -> None:
    step = next(step for step in tables["paper"].plan.steps if tables["paper"].states[step.fingerprint] == "done")
    text = pages["paper"].partition(f'id="step-{step.fingerprint[:16]}" popover')[2].partition(" popover=")[0]
    for told in (
        step.fingerprint,
        "loss from 2.93 to 0.0202 after 200 train steps",
        "30 min 00 s",
        "on here",
        "1a2b3c4 · torch",
    ):
        assert told in text, told
    assert text.count("train step ") == LOG_LINES - 1  # and the hostile line
    assert f"simclr-spec logs table1 fingerprint={step.fingerprint[:8]}" in text
    assert "simclr-spec plan --cell table1/50-1x/finetune/0.01" in pages["paper"]


def test_off_the_papers_scale_the_page_says_so_before_the_table_and_folds_but_counts_departures(pages: dict[str, str]) -> None:
    text = pages["rehearsal"]
    before, grid, below = text.partition('<table class="results">')
    assert grid
    assert "a rehearsal, NOT the paper&#x27;s setting" in before.rpartition("<section")[2]
    assert "details" not in before.rpartition("<section")[2]
    assert re.search(r"<summary><b>Deviations</b> in \d+ fields</summary>", below)
    assert re.search(r"<summary><b>Assumptions</b> in \d+ fields</summary>", below)


def test_a_table_that_nobody_has_begun_is_compact(pages: dict[str, str]) -> None:
    section = pages["new"].partition('<section id="quickstart"')[2].partition("</section>")[0]
    assert "No result yet: 168 new of 168 Steps." in section
    assert "simclr-spec run quickstart" in section
    assert "<table" not in section
    assert len(re.sub("<[^>]+>", "", section)) < 600


def test_the_summary_counts_what_was_run_only(pages: dict[str, str], tables: dict[str, Table]) -> None:
    summary = pages["paper"].partition('<section id="summary"')[2].partition("</section>")[0]
    verdicts = Counter(cell.verdict for cell in tables["paper"].cells if cell.verdict and not cell.planned)
    for verdict, count in verdicts.items():
        assert f" {count} {verdict}</span>" in summary
    assert "13 match" not in summary, "parameters match by themselves"
    done = sum(state == "done" for state in tables["paper"].states.values())
    assert f"{done} of 78" in summary


def test_a_cell_that_stands_in_several_reports_is_counted_once(store: Store) -> None:
    _plant(store, compile(["table1"]))

    def beside(*names: str) -> str:
        text = summary(tables := [make(name, store) for name in names], all_of(tables))
        return text.partition("Beside the paper")[2].partition("</div>")[0]

    assert "unjudged" in beside("table1")
    assert beside("table1", "figure1") == beside("table1")


def test_the_summary_flags_what_is_mixed(store: Store) -> None:
    steps = of(compile(["table1"]), stage="supervised")
    for step, torch in zip(steps, ["2.11.0", "2.12.0"], strict=False):
        finish(store, step, {"top1": 1.0}, torch=torch)
    text = summary(tables := [make("table1", store)], all_of(tables))
    assert "⚠ mixed: </strong>" in text
    assert "MIXED torch: 2.11.0, 2.12.0" in text


def test_a_curve_of_one_point_is_seen() -> None:
    assert 'class="curve c0"' in curves("loss", [[(1, 2.0)]]).partition("<circle")[2].partition(">")[0]
    assert "<polyline" in curves("loss", [[(1, 2.0), (2, 1.0)]])


def test_curves_are_thinned_and_keep_their_ends(store: Store) -> None:
    folder = finish(store, compile([FEW]).steps[0], {"top1": 1.0})
    _trained(folder)
    loss = curves_of(folder)["loss"]
    assert (loss[0][0], loss[-1][0]) == (1, 200)
    assert len(loss) <= POINTS * 2


# In a browser


@pytest.mark.parametrize("name", ["paper", "rehearsal", "new", "figures", "all"])
def test_a_page_loads_in_silence_and_alone_and_nothing_of_a_title_is_executed(
    browser: Browser, files: dict[str, Path], name: str
) -> None:
    browser.open(files[name])
    asked = [event["request"]["url"] for event in browser.said("Network.requestWillBeSent")]
    assert asked == [files[name].as_uri()]
    assert browser.said("Runtime.consoleAPICalled") + browser.said("Log.entryAdded") == []
    assert browser.said("Runtime.exceptionThrown") + browser.said("Page.javascriptDialogOpening") == []
    assert browser.ask("window.hit === undefined && document.title.length > 0")


def test_a_cell_and_its_step_open_and_close_by_keyboard(browser: Browser, files: dict[str, Path]) -> None:
    browser.open(files["paper"])
    for _ in range(60):
        browser.press("Tab")
        if browser.ask("document.activeElement.id || document.activeElement.className") == "cell":
            break
    opener = browser.ask("document.activeElement.getAttribute('popovertarget')")
    browser.press("Enter")
    assert browser.ask("document.querySelector(':popover-open').id") == opener
    assert browser.ask("document.activeElement.closest('[popover]').id") == opener
    for _ in range(20):
        browser.press("Tab")
        if browser.ask("document.activeElement.className") == "link":
            break
    browser.press("Enter")
    assert browser.ask("document.querySelectorAll(':popover-open').length") == 2
    assert browser.ask("document.activeElement.id").startswith("step-")
    browser.press("Escape")
    browser.until("document.activeElement.className === 'link'")
    browser.press("Escape")
    assert browser.ask("document.querySelector(':popover-open')") is None
    browser.until(f"document.activeElement.getAttribute('popovertarget') === {json.dumps(opener)}")


def test_without_scripts_a_cell_opens_all_the_same(browser: Browser, files: dict[str, Path]) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(files["paper"])
    browser.ask("document.querySelector('button.cell').focus()")
    browser.press("Enter")
    assert browser.ask("document.querySelector(':popover-open').id") == "table1/50-1x/parameters:cell"
    browser.press("Escape")
    assert browser.ask("document.querySelector(':popover-open')") is None
    browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_every_cell_can_be_reached_and_has_a_name(browser: Browser, files: dict[str, Path], tables: dict[str, Table]) -> None:
    browser.open(files["paper"])
    focused = "b => { b.focus(); return document.activeElement === b && b.tabIndex === 0 }"
    reached = browser.ask(f"[...document.querySelectorAll('table.results button')].filter({focused}).length")
    assert reached == len(tables["paper"].cells)
    nodes = [node for node in browser.call("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]]
    named: dict[str, list[str]] = {}
    for node in nodes:
        named.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    for role in ("button", "table", "columnheader", "rowheader", "heading", "region", "link", "progressbar"):
        assert named[role], role
        assert all(named[role]), role
    report = tables["paper"].report
    assert {column.title for column in report.columns} <= set(named["columnheader"])
    assert {row.title for row in report.rows} <= set(named["rowheader"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["paper", "rehearsal", "all"])
def test_text_stands_out_from_its_ground(browser: Browser, files: dict[str, Path], name: str, scheme: str) -> None:
    browser.scheme(scheme)
    browser.open(files[name])
    found: list[list[Any]] = browser.ask(CONTRAST)
    assert len(found) > 500
    assert [one for one in found if one[0] < 4.5] == []
    ground = browser.ask("getComputedStyle(document.body).backgroundColor")
    assert (int(ground.removeprefix("rgb(").split(",")[0]) < 128) == (scheme == "dark")


@pytest.mark.parametrize("name", ["paper", "rehearsal", "new", "all"])
def test_on_a_phone_only_tables_scroll_sideways(browser: Browser, files: dict[str, Path], name: str) -> None:
    browser.open(files[name], 390, 844)
    assert browser.ask("document.documentElement.scrollWidth") <= 390
    if name != "new":
        browser.ask("document.querySelector('button.cell').click()")
        assert browser.ask("document.querySelector(':popover-open').scrollWidth") <= 390
        assert browser.ask("document.querySelector(':popover-open').getBoundingClientRect().right") <= 390


def test_on_paper_departures_are_unfolded(browser: Browser, files: dict[str, Path]) -> None:
    seen = "document.querySelector('details.note .item').checkVisibility()"
    browser.scheme("light")
    browser.open(files["rehearsal"])
    assert browser.ask(seen) is False
    browser.scheme("light", media="print")
    browser.open(files["rehearsal"])
    assert browser.ask(seen) is True
    browser.scheme("light")


def test_where_all_cells_have_a_number_of_the_literature_the_row_says_so(tmp_path: Path, store: Store) -> None:
    row = '{ title = "theirs", adopted = [12.3, "none"], source = "S4L" }'
    text = (
        SMALL.replace("rows = [", f"rows = [\n  {row},")
        .replace(FEW, "table1")
        .replace("labels_per_class = 1", "label_fraction = 0.1")
    )
    text = text.replace("width = 1", "width = 1, depth = 50, sk = false")
    text = "".join(line for line in text.splitlines(True) if '"supervised", where' not in line)
    finish(store, of(compile(["table1"]), stage="finetune", depth=50, width=1, sk=False, label_fraction=0.1)[0], {"top1": 1.0})
    page_of = render(make(write(tmp_path, text), store, scale="paper"))
    first = page_of.partition('<tr class="literature">')[2].partition("</tr>")[0]
    assert "theirs<small>adopted from S4L</small>" in first
    assert "12.3" in first
    assert first.count("<button") == 1, "of two cells only one has anything to open"
    assert "not run here; from S4L" in page_of
