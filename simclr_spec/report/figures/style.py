"""How figures look: in print and on a screen, on white and on dark, with and without colour."""

from __future__ import annotations

from typing import Any

Look = dict[str, Any]
"""Arguments of matplotlib's artists."""
INK = "#010203"
"""Text and axes. No other colour is near it, so that SVG can say `currentColor` instead."""
COLOURS = ("#0072B2", "#D55E00", "#00875F", "#B0569A", "#94720A", "#6F7378")
"""Told apart by the colour-blind; each has a contrast of at least 3 with white and with #121212."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")
DASHES: tuple[Any, ...] = ("-", (0, (6, 1.5)), (0, (6, 1.5, 1.2, 1.5)), (0, (3, 1)))
OF_THE_PAPER: Look = {"markerfacecolor": "none", "markeredgewidth": 0.8, "linestyle": ":", "linewidth": 1.0}
"""Hollow, joined by fine dots; ours are filled."""
FAINT = 0.45
SMALL = 5.5
"""Points of the print below a figure."""

RC: Look = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 7.5,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": INK,
    "grid.alpha": 0.12,
    "grid.linewidth": 0.5,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "hatch.linewidth": 0.6,
    "figure.facecolor": "none",
    "savefig.dpi": 200,
    "svg.fonttype": "none",
    "text.parse_math": False,
}


def colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def of_series(number: int) -> Look:
    """Colour, marker and dashes of one series of a figure: no two of the first 24 agree in more than two of them."""
    return {
        "color": colour(number),
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": DASHES[number % len(DASHES)],
    }
