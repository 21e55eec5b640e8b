"""Where every value of a plan comes from: value, source, status, origin; deviations and assumptions last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from simclr_spec.coordinates import show as show_coordinates
from simclr_spec.plan import Step
from simclr_spec.show.plan import Note, assumptions, deviations
from simclr_spec.spec.settings import Setting

_AXES = (
    "seed",
    "labels.seed",
    "labels.fraction",
    "labels.per_class",
    "encoder.depth",
    "encoder.width",
    "encoder.sk",
    "revision",
)

_WIDEST = 40
"""Characters that a column takes at most; longer cells push the next ones."""


def explain_step(step: Step) -> str:
    """Every resolved value of one Step, one per line, then its deviations and assumptions."""
    lines = [f"{step.id} · {show_coordinates(step.coordinates)}", f"fingerprint {step.fingerprint}"]
    lines += [f"needs {role} {fingerprint}" for role, fingerprint in step.needs.items()]
    lines += _table([_line(name, [step.origins[name]]) for name in sorted(step.origins)])
    return "\n".join([*lines, "", *notes([step])])


def explain_steps(steps: Sequence[Step]) -> str:
    """Every hyper-parameter by stage, then deviations and assumptions. Where a rule makes values differ, each has its line."""
    lines: list[str] = []
    stages: dict[tuple[str, str], list[Step]] = {}
    for step in steps:
        stages.setdefault((step.stage, step.kind), []).append(step)
    for (stage, kind), members in stages.items():
        lines += [f"[stages.{stage}] · {kind} · {len(members)} Step{'s' * (len(members) > 1)}"]
        rows = []
        for name in sorted(members[0].origins):
            if name not in _AXES:
                distinct = {(str(s.value), s.document, s.path): s for s in (step.origins[name] for step in members)}
                rows += [_line(name, [setting]) for setting in distinct.values()]
        lines += [*_table(rows), ""]
    return "\n".join([*lines, *notes(steps)])


def notes(steps: Sequence[Step]) -> Iterator[str]:
    """What differs from the recipe, and what the recipe had to assume."""
    for title, found in (("Deviations", deviations(steps)), ("Assumptions", assumptions(steps))):
        yield f"{title}: {len(found)}"
        yield from _table([_note(note) for note in found])


def _note(note: Note) -> list[str]:
    setting = note.setting
    told = show(setting.value) if setting.recipe is None else f"{show(setting.value)} instead of {show(setting.recipe.value)}"
    return [note.name, told, ", ".join(note.stages), setting.source, setting.origin]


def _line(name: str, settings: Sequence[Setting]) -> list[str]:
    setting = settings[0]
    rule = f"when {setting.rule}" if setting.rule else ""
    told = show(setting.value)
    if setting.recipe is not None:
        told += f" (recipe: {show(setting.recipe.value)})"
    return [name, told, setting.status or setting.layer, " · ".join(filter(None, (setting.source, rule))), setting.origin]


def show(value: Any) -> str:
    """As it would be written in TOML."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return (
        repr(value)
        if isinstance(value, str)
        else f"{value:g}"
        if isinstance(value, float) and value == float(f"{value:g}")
        else str(value)
    )


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    widths = [min(_WIDEST, max(len(cell) for cell in column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield ("  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))).rstrip()
