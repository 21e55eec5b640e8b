"""Departures of Steps: deviations (another value than the recipe's) and assumptions (what paper and code leave open).

Said once, for `plan`, `explain` and `report`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass

from simclr_spec.language.setting import Setting
from simclr_spec.plan.step import Plan, Step
from simclr_spec.stages.kinds import KINDS

SCALE_OF_THE_EXPERIMENT = ("dataset.", "encoder.", "epochs", "train_steps", "test_images")
"""Fields whose change leaves the paper's scale: no number of the paper stands beside ours then."""


@dataclass(frozen=True, kw_only=True)
class Departure:
    """One value that departs, from one place, and the stages that have it."""

    name: str
    """of the parameter, dotted"""
    setting: Setting
    stages: tuple[str, ...]


def deviations(steps: Iterable[Step]) -> list[Departure]:
    """Values that differ from the recipe's, each once with the stages that have it."""
    return _departures(steps, lambda setting: setting.is_deviation)


def assumptions(steps: Iterable[Step]) -> list[Departure]:
    """Values that paper and code leave open and the recipe chose."""
    return _departures(steps, lambda setting: setting.is_assumption)


def deviating(steps: Iterable[Step]) -> set[str]:
    """Fingerprints of the Steps that depart from the recipe, themselves or in an ancestor; parents come first."""
    found: set[str] = set()
    for step in steps:
        if any(setting.is_deviation for setting in step.origins.values()) or not found.isdisjoint(step.needs.values()):
            found.add(step.fingerprint)
    return found


def at_paper_scale(plan: Plan, steps: Iterable[Step]) -> bool:
    """False when any of these Steps, ancestors included, changes a field that makes up the experiment's scale."""
    return plan.scale is None and not any(
        setting.is_deviation and name.startswith(SCALE_OF_THE_EXPERIMENT)
        for step in steps
        for name, setting in step.origins.items()
    )


def _departures(steps: Iterable[Step], departs: Callable[[Setting], bool]) -> list[Departure]:
    settings: dict[Hashable, tuple[str, Setting]] = {}
    stages: dict[Hashable, dict[str, None]] = {}
    for names, name, setting in _distinct(steps):
        if departs(setting):
            same = _told_as_one(name, setting)
            settings.setdefault(same, (name, setting))
            stages.setdefault(same, {}).update(dict.fromkeys(names))
    return [Departure(name=name, setting=setting, stages=tuple(stages[same])) for same, (name, setting) in settings.items()]


def _distinct(steps: Iterable[Step]) -> Iterator[tuple[tuple[str, ...], str, Setting]]:
    """(stages, name, setting) of every value that may depart; what Steps share is looked at once."""
    shared: set[Hashable] = set()
    for step in steps:
        alike, unseen = (step.stages, *step.shared.values(), *step.own), KINDS[step.kind].from_file  # which looks at no images
        for name, setting in (step.own if alike in shared else step.origins).items():
            if (setting.is_deviation or setting.is_assumption) and not (unseen and name.startswith("dataset.")):
                yield step.stages, name, setting
        shared.add(alike)


def _told_as_one(name: str, setting: Setting) -> Hashable:
    """What a person sees of it: Settings that agree in this are one departure."""
    before = setting.recipe.value if setting.recipe else None
    return name, str(setting.value), str(before), setting.document, setting.path
