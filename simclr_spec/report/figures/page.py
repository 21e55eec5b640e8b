"""One picture with its title and the small print below it, as SVG or PNG: the same bytes each time."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib
from matplotlib.figure import Figure, SubFigure

from simclr_spec.report.figures.style import INK, RC, SMALL

_INCH = 72
"""Points to an inch."""
_WIDE = 0.56
"""Mean width of a character over the size of its font."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """What is drawn."""

    name: str
    """begins every id of the SVG: two figures of one HTML page have different ones"""
    title: str
    described: str
    """what is seen, for those who cannot see it"""
    small: tuple[str, ...]
    """lines below"""
    width: float
    height: float
    """in inches, without title and small print"""
    paint: Callable[[SubFigure], None]


def svg(page: Page) -> str:
    """A `<svg>` element on a transparent ground, its text in `currentColor`; a file or a part of an HTML page."""
    with _drawn(page) as figure:
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{page.name}-", out.getvalue()[out.getvalue().index("<svg") :])
    text = text.replace(INK, "currentColor").replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans'")
    text = text.replace("*{", f"#{page.name}-figure_1 *{{")  # its style is that of the whole HTML page else
    told = (
        f'<title id="{page.name}-title">{escape(page.title)}</title><desc id="{page.name}-desc">{escape(page.described)}</desc>'
    )
    aria = f'<svg role="img" aria-labelledby="{page.name}-title {page.name}-desc"'
    return re.sub(r"<svg([^>]*)>", lambda head: f"{aria}{head[1]}>\n {told}", text, count=1)


def png(page: Page) -> bytes:
    """On white."""
    with _drawn(page) as figure:
        out = io.BytesIO()
        figure.savefig(out, format="png", facecolor="white", metadata={"Software": None})
    return out.getvalue()


@contextmanager
def _drawn(page: Page) -> Iterator[Figure]:
    """Within one style, whatever the user's own is: matplotlib asks for it until the file is written."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        settings: Any = RC | {"svg.hashsalt": page.name}
        matplotlib.rcParams.update(settings)
        title = wrapped(page.title, page.width, 9)
        small = "\n".join(wrapped(line, page.width, SMALL) for line in page.small)
        below = (small.count("\n") + 1.8) * 1.35 * SMALL / _INCH
        height = page.height + below + (title.count("\n") + 1) * 9 * 1.4 / _INCH
        figure = Figure(figsize=(page.width, height), layout="constrained")
        parts: Any = figure.subfigures(2, 1, height_ratios=[height - below, below])
        above, print_below = parts
        above.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
        print_below.text(0.01, 0.5, small, fontsize=SMALL, linespacing=1.35, alpha=0.8, va="center")
        page.paint(above)
        yield figure


def wrapped(text: str, width: float, size: float) -> str:
    """In lines of so many inches, about, at a size in points."""
    return textwrap.fill(text, max(10, int(width * _INCH / (size * _WIDE))), break_long_words=False)
