"""The whole page: a header, what one reads first, the reports, the plan, and what the cells open."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files

from simclr_spec.core.code import code_version
from simclr_spec.core.times import now
from simclr_spec.report.page import plan, section, summary
from simclr_spec.report.page.cell import VERDICTS
from simclr_spec.report.page.markup import Html, element, folded, joined, pairs
from simclr_spec.report.page.steps import all_of, step_popover
from simclr_spec.report.table import Table

FOCUS = """
const from = new Map(), here = () => document.activeElement;
addEventListener('beforetoggle', e => e.newState === 'open' && from.set(e.target, here()), true);
addEventListener('toggle', e => e.newState === 'closed' && (here() === document.body || e.target.contains(here()))
  && from.get(e.target)?.focus(), true);
"""
"""Browsers give the focus back only when the outermost popover is closed. Without it all opens and closes just the same."""
POLICY = (
    f"default-src 'none'; script-src 'sha256-{b64encode(sha256(FOCUS.encode()).digest()).decode()}'; "
    "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
)
"""The page asks for nothing and runs these lines alone, whatever stands in it."""
_READING = {"–": "nobody has begun it"}
_BESIDE_THE_PAPER = {
    "match": f"✓ {VERDICTS['match']}",
    **{verdict: said for verdict, said in VERDICTS.items() if verdict != "match"},
    "†": "adopted from the literature: not run here",
}


def page(tables: Sequence[Table], title: str) -> Html:
    """All of it; of one table its title is the page's, and there is no list of reports."""
    steps = all_of(tables)
    alone = len(tables) == 1
    body = [_header(title), summary.summary(tables, steps)]
    body += [] if alone else [summary.contents(tables)]
    body += [section.section(table, steps, "The table" if alone else table.report.title) for table in tables]
    body += [plan.section(tables, steps), _reading(tables)]
    opened = (step_popover(known, steps) for known in steps.values() if known.begun)
    main = element("main", joined(body, "\n"), id="main")
    return joined(
        (Html("<!doctype html>\n"), element("html", _head(title), element("body", _skip(), main, *opened), lang="en"))
    )


def _head(title: str) -> Html:
    style = files("simclr_spec.report.page").joinpath("style.css").read_text(encoding="utf-8")
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Html(style)),
        element("script", Html(FOCUS)),
    )


def _skip() -> Html:
    return element("a", "Skip to the content", href="#main", class_="skip")


def _header(title: str) -> Html:
    made = f"written {now()[:16].replace('T', ' ')} UTC by simclr-spec {code_version()}"
    return element("header", element("h1", title), element("p", made, class_="made"))


def _reading(tables: Sequence[Table]) -> Html:
    beside = any(table.at_paper_scale for table in tables)
    return folded("How to read the cells", pairs((_READING | (_BESIDE_THE_PAPER if beside else {})).items()), class_="reading")
