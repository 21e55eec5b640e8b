"""The stages of a plan as boxes, with arrows from parents to children: whatever the kinds are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

from simclr_spec.core.words import counted, typed
from simclr_spec.plan import Plan, Step
from simclr_spec.report.figures.page import wrapped
from simclr_spec.report.figures.style import INK, Look, colour
from simclr_spec.stages.kinds import KINDS

WIDE, HIGH = 1.85, 1.05
"""Inches of a box."""
ACROSS, DOWN = 0.65, 0.25
"""Inches between boxes."""
MOST_VALUES = 4
"""Of an axis, told one by one."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """A stage: what it is, its Steps, and in which column and row it stands."""

    title: str
    what: str
    steps: str
    column: int
    row: int


@dataclass(frozen=True, kw_only=True)
class Stages:
    """Boxes by the names of stages; (parent, role, child)."""

    boxes: Mapping[str, Box]
    arrows: tuple[tuple[str, str, str], ...]

    @property
    def columns(self) -> int:
        return max(box.column for box in self.boxes.values()) + 1

    @property
    def rows(self) -> int:
        return max(box.row for box in self.boxes.values()) + 1

    @property
    def described(self) -> str:
        """Every box and arrow in words."""
        parts = [f"{box.title}: {box.what} {box.steps}." for box in self.boxes.values()]
        return " ".join([*parts, *(f"{parent} → {child} ({role})." for parent, role, child in self.arrows)])


def stages(plan: Plan) -> Stages:
    """A box stands one column right of its last parent."""
    steps: dict[str, list[Step]] = {}
    arrows: dict[tuple[str, str, str], None] = {}
    for step in plan.steps:
        for stage in step.stages:
            steps.setdefault(stage, []).append(step)
            arrows |= {(plan.by_fingerprint[key].stage, role, stage): None for role, key in step.needs.items()}
    columns = dict.fromkeys(steps, 0)
    for _ in steps:
        columns |= {child: max(columns[child], columns[parent] + 1) for parent, _, child in arrows}
    boxes: dict[str, Box] = {}
    for stage, own in steps.items():
        row = sum(box.column == columns[stage] for box in boxes.values())
        boxes[stage] = _box(stage, own, columns[stage], row)
    return Stages(boxes=boxes, arrows=tuple(arrows))


def _box(stage: str, steps: Sequence[Step], column: int, row: int) -> Box:
    kind = KINDS[steps[0].kind]
    values = {key: dict.fromkeys(step.coordinates[key] for step in steps if key in step.coordinates) for key in kind.axes}
    varied = [_varied(key, [*found]) for key, found in values.items() if len(found) > 1]
    return Box(
        title=stage if stage == kind.name else f"{stage} ({kind.name})",
        what=kind.parameters.__doc__ or "",
        steps=" · ".join([counted(len(steps), "Step"), *varied]),
        column=column,
        row=row,
    )


def _varied(key: str, found: Sequence[Any]) -> str:
    """`label_fraction 0.01, 0.1, 1.0`, or `6 seeds`."""
    return counted(len(found), key) if len(found) > MOST_VALUES else f"{key} {', '.join(map(typed, found))}"


def width(found: Stages) -> float:
    return found.columns * (WIDE + ACROSS) - ACROSS + 0.2


def height(found: Stages) -> float:
    return found.rows * (HIGH + DOWN) - DOWN + 0.2


def paint(figure: SubFigure, found: Stages) -> None:
    """In inches, the first row on top."""
    axes = figure.subplots()
    axes.set(xlim=(-0.1, width(found) - 0.1), ylim=(height(found) - 0.1, -0.1), aspect="equal")
    axes.axis("off")
    for name, box in found.boxes.items():
        _draw(axes, name, box)
    for parent, role, child in found.arrows:
        _arrow(axes, found.boxes[parent], found.boxes[child], role)


def _corner(box: Box) -> tuple[float, float]:
    return box.column * (WIDE + ACROSS), box.row * (HIGH + DOWN)


def _draw(axes: Axes, name: str, box: Box) -> None:
    x, y = _corner(box)
    shape = "round,pad=0,rounding_size=0.08"
    edge: Look = {"edgecolor": colour(0), "facecolor": "none", "linewidth": 1.1}
    axes.add_patch(FancyBboxPatch((x, y), WIDE, HIGH, boxstyle=shape, gid=f"stage-{name}", **edge))
    left = x + 0.08
    axes.text(left, y + 0.09, box.title, va="top", fontweight="bold", fontsize=7.5)
    axes.text(left, y + 0.25, wrapped(box.what, WIDE - 0.1, 6), va="top", fontsize=6)
    axes.text(left, y + HIGH - 0.07, wrapped(box.steps, WIDE - 0.1, 5.5), va="bottom", fontsize=5.5, alpha=0.8)


def _arrow(axes: Axes, parent: Box, child: Box, role: str) -> None:
    (x, y), (to_x, to_y) = _corner(parent), _corner(child)
    start, end, bend = (x + WIDE, y + HIGH / 2), (to_x, to_y + HIGH / 2), to_x - 0.6 * ACROSS
    path = Path([start, (bend, start[1]), (bend, end[1]), end])
    axes.add_patch(FancyArrowPatch(path=path, arrowstyle="-|>", mutation_scale=8, color=INK, linewidth=0.9))
    axes.text(to_x - 0.3 * ACROSS, end[1] - 0.05, role, ha="center", va="bottom", fontsize=6)
