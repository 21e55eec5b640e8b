"""What stands below every table and cannot be switched off: deviations, assumptions, what is missing, and what to type next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from simclr_spec.core.states import FINISHED
from simclr_spec.core.words import footnote
from simclr_spec.language.coordinates import Selector
from simclr_spec.language.setting import Setting
from simclr_spec.plan import Plan, Step, departures
from simclr_spec.plan.departures import Departure
from simclr_spec.store.layout import Store
from simclr_spec.store.staleness import pins

Grouped = Mapping[str, Mapping[tuple[str, str, str], list[str]]]
"""Field -> (ours, the recipe's, claim) -> stages."""


@dataclass(frozen=True)
class Note:
    """One paragraph below the table."""

    name: str
    items: tuple[str, ...]
    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """The same by stage, for the eye: (stages, items); an item of several stages stands with each."""

    @property
    def text(self) -> str:
        return " · ".join(self.items)


def chain(plan: Plan, steps: Iterable[Step]) -> list[Step]:
    """The Steps and all their ancestors, each once, in the plan's order."""
    wanted = plan.ancestors(step.fingerprint for step in steps)
    return [step for step in plan.steps if step.fingerprint in wanted]


def deviations(steps: Sequence[Step]) -> Note:
    """`epochs 80≠800 (pretrain)`: ours ≠ the recipe's, then the stages (left out where it is every stage)."""
    grouped = _by_text(departures.deviations(steps), lambda name: name.removesuffix(".name"))
    return _note("Deviations", grouped, steps, "≠")


def assumptions(steps: Sequence[Step]) -> Note:
    """`student_init scratch (distill)`: what the paper leaves open and the recipe assumes."""
    return _note("Assumptions", _by_text(departures.assumptions(steps)), steps, "")


def _by_text(found: Iterable[Departure], named: Callable[[str], str] = str) -> Grouped:
    """Departures that read the same are one, with the stages of all."""
    grouped: dict[str, dict[tuple[str, str, str], list[str]]] = {}
    for departure in found:
        setting = departure.setting
        ours = footnote(setting.value)
        before, claim = (footnote(setting.recipe.value), _claim(setting)) if setting.recipe else ("", "")
        stages = grouped.setdefault(named(departure.name), {}).setdefault((ours, before, claim), [])
        stages += [stage for stage in departure.stages if stage not in stages]
    return grouped


def _claim(setting: Setting) -> str:
    """What the file that changes it says of it."""
    return f" ({setting.status}: {setting.source})" if setting.status else ""


def _note(name: str, grouped: Grouped, steps: Sequence[Step], sign: str) -> Note:
    stages = list(dict.fromkeys(stage for step in steps for stage in step.stages))
    return Note(name, tuple(_grouped(grouped, set(stages), sign)) or ("none",), _by_stage(grouped, stages, sign))


def _grouped(grouped: Grouped, stages: set[str], sign: str) -> list[str]:
    return [
        f"{name} " + ", ".join(f"{a}{sign}{b}{claim}{_of(of, stages)}" for (a, b, claim), of in values.items())
        for name, values in sorted(grouped.items())
    ]


def _by_stage(grouped: Grouped, stages: list[str], sign: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What holds in every stage, then what else each has; stages that have the same stand together."""
    by_stage: dict[str, list[str]] = {stage: [] for stage in ["every stage", *stages]}
    for name, values in sorted(grouped.items()):
        here: dict[str, list[str]] = {}
        for (a, b, claim), of in values.items():
            for stage in ["every stage"] if set(of) == set(stages) else of:
                here.setdefault(stage, []).append(f"{a}{sign}{b}{claim}")
        for stage, found in here.items():
            by_stage[stage].append(f"{name} {', '.join(found)}")
    same: dict[tuple[str, ...], list[str]] = {}
    for stage, items in by_stage.items():
        if items:
            same.setdefault(tuple(items), []).append(stage)
    return tuple((", ".join(names), items) for items, names in same.items())


def _of(of: list[str], stages: set[str]) -> str:
    return "" if set(of) == stages else f" ({', '.join(of)})"


def missing(states: Iterable[tuple[str, str]]) -> Note | None:
    """`12 new · 1 failed`: the Steps of cells that have no number, each once; None when all have one."""
    counts = Counter(dict(states).values())
    return Note("Missing", tuple(f"{count:,} {state}" for state, count in counts.items())) if counts else None


def next_commands(
    steps: list[Step], states: Mapping[str, str], arguments: str, store: Store, selector: Selector | None
) -> Note | None:
    """Commands for what failed and what is missing; None when every run is there. `arguments` are those of `run`."""
    arguments += store.option
    chosen = f" {selector}" if selector else ""
    found = {states[step.fingerprint] for step in steps}
    items = [f"simclr-spec logs {arguments} state=failed"] if "failed" in found else []
    if found - FINISHED - {"running"}:
        items.append(f"simclr-spec run {arguments}{chosen}")
    if "running" in found:
        items.append(f"simclr-spec status {arguments}{chosen} --watch")
    if "stale" in found:
        items += pins((step for step in steps if states[step.fingerprint] == "stale"), store)
    return Note("Next", tuple(items)) if items else None
