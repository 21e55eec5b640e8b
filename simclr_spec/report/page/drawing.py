"""Small pictures in SVG: the values of seeds on a line, and a training's curve. Coordinates are whole numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from simclr_spec.core.words import fixed, number
from simclr_spec.report.cells import Cell
from simclr_spec.report.page.markup import Html, element
from simclr_spec.report.text import places

_WIDTH, _EDGE = 320, 24
_HEIGHT = 64
_CURVE = 72
Curve = Sequence[tuple[float, float]]
"""Train step and value, in the order of train steps."""


def strip(cell: Cell) -> Html:
    """Each seed's value as a circle, the mean as a bar, the paper's value as a diamond."""
    known = [*cell.numbers, *([] if cell.paper is None else [cell.paper])]
    low, high = min(known), max(known)

    def at(value: float) -> int:
        return _scaled(value, low, high, _EDGE, _WIDTH - _EDGE)

    line = element("path", d=f"M{_EDGE} 32H{_WIDTH - _EDGE}", class_="axis")
    mean = cell.mean or 0.0
    marks = [element("path", d=f"M{at(mean)} 20v24", class_="mean")]
    marks += [element("circle", cx=at(value), cy=32, r=5, class_="ours") for value in cell.numbers]
    told = [f"ours {', '.join(_value(cell, value) for value in cell.numbers)}"]
    if cell.paper is not None:
        x = at(cell.paper)
        marks += [element("path", d=f"M{x} 24l8 8l-8 8l-8 -8z", class_="paper"), _text(x, 16, cell.whose)]
        told.append(f"{cell.whose} {_value(cell, cell.paper)}")
    ends = [_text(at(value), 60, _value(cell, value)) for value in dict.fromkeys((low, high))]
    return _picture(f"Values by seed: {'; '.join(told)}", _HEIGHT, [line, *marks, *ends])


def curves(name: str, found: Sequence[Curve]) -> Html:
    """One line for each Step, over its train steps; first and last value in words."""
    every = [point for curve in found for point in curve]
    last_step = max(step for step, _ in every)
    low, high = min(value for _, value in every), max(value for _, value in every)
    lines = [_curve(_points(curve, last_step, low, high), f"curve c{k % 4}") for k, curve in enumerate(found)]
    told = f"{name} from {_span(curve[0][1] for curve in found)} to {_span(curve[-1][1] for curve in found)}"
    axes = [_text(0, 12, number(high, 3), "start"), _text(0, _CURVE - 2, number(low, 3), "start")]
    over = f"{told} after {number(last_step)} train steps"
    picture = _picture(f"Curve of the {over}", _CURVE, [*lines, *axes])
    return element("figure", picture, element("figcaption", over), class_="small")


def _curve(points: Sequence[tuple[int, int]], class_: str) -> Html:
    """A dot where there is one point only, of which no line is seen."""
    if len(points) == 1:
        ((x, y),) = points
        return element("circle", cx=x, cy=y, r=2, class_=class_)
    return element("polyline", points=" ".join(f"{x},{y}" for x, y in points), class_=class_)


def _span(values: Iterable[float]) -> str:
    """`0.33`, or `0.33–0.41` of several."""
    ordered = sorted(values)
    return "–".join(dict.fromkeys(number(value, 3) for value in (ordered[0], ordered[-1])))


def _points(curve: Curve, last_step: float, low: float, high: float) -> list[tuple[int, int]]:
    return [(_scaled(step, 0, last_step, 48, _WIDTH - 4), _scaled(-value, -high, -low, 4, _CURVE - 4)) for step, value in curve]


def _scaled(value: float, low: float, high: float, start: int, end: int) -> int:
    """In the middle where all values are one."""
    return round(start + (end - start) * ((value - low) / (high - low) if high > low else 0.5))


def _value(cell: Cell, value: float) -> str:
    return fixed(value, places(cell))


def _text(x: int, y: int, text: str, anchor: str = "middle") -> Html:
    return element("text", text, x=x, y=y, text_anchor=anchor)


def _picture(told: str, height: int, parts: Sequence[Html]) -> Html:
    """A screen reader says `told`; the parts are for the eye."""
    return element("svg", element("title", told), *parts, viewBox=f"0 0 {_WIDTH} {height}", role="img", class_="drawing")
