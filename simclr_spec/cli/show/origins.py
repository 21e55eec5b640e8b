"""Where every value of a plan comes from: value, source, status, origin; deviations and assumptions last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from simclr_spec.core.errors import UsageError, did_you_mean
from simclr_spec.core.words import counted, plain, written
from simclr_spec.language import declared, schema
from simclr_spec.language.coordinates import as_selector
from simclr_spec.language.setting import Setting
from simclr_spec.plan import Step
from simclr_spec.plan.departures import Departure, assumptions, deviations
from simclr_spec.stages.kinds import KINDS

_AXES = schema.AXES | {"revision"}

_WIDEST = 40
"""Characters that a column takes at most; longer cells push the next ones."""


def is_parameter(word: str) -> bool:
    """Whether it names a parameter, or a table of them; a stage or a kind may stand before: pretrain.memory."""
    return any(_covers(part, name) for part in (word, word.partition(".")[2]) for name in schema.common_fields())


def unknown_word(word: str) -> str:
    """The sentence for what is neither a spec nor a parameter."""
    if word in KINDS:
        return f"{word!r} is no parameter; for a kind of training write kind={word}"
    names = list(schema.common_fields())
    hint = did_you_mean(word, [*declared.names("spec"), *names, *(f"{kind}.{name}" for kind in KINDS for name in names)])
    like_spec = not hint or any(f"{spec!r}?" in hint for spec in declared.names("spec"))
    return declared.unknown("spec", word) if like_spec else f"no spec and no parameter is named {word!r}{hint}"


def _covers(word: str, name: str) -> bool:
    """`memory` covers memory.keys."""
    return bool(word) and (name == word or name.startswith(f"{word}."))


def only(keys: Sequence[str], steps: Sequence[Step]) -> Sequence[Step]:
    """The Steps that have the parameters `keys`, with those alone; all, whole, without keys. Raises UsageError."""
    if not keys:
        return steps
    found: list[Step] = []
    used: set[str] = set()
    for step in steps:
        asking = {name: {key for key in keys if _asks(key, step, name)} for name in step.origins}
        if names := {name for name in asking if asking[name]}:
            found.append(replace(step, shared=_kept(step.shared, names), own=_kept(step.own, names)))
            used.update(*asking.values())
    for key in keys:
        if key not in used:
            stages = dict.fromkeys(word for step in steps for word in (*step.stages, step.kind))
            raise UsageError(f"no Step that is selected has {key!r} (they are of {', '.join(stages)})")
    return found


def _kept(settings: Mapping[str, Setting], names: AbstractSet[str]) -> dict[str, Setting]:
    return {name: setting for name, setting in settings.items() if name in names}


def _asks(key: str, step: Step, name: str) -> bool:
    target, _, rest = key.partition(".")
    return _covers(key, name) or (target in (*step.stages, step.kind) and _covers(rest, name))


def explain_step(step: Step) -> str:
    """Every resolved value of one Step, one per line, then its deviations and assumptions."""
    lines = [f"{step.id} · {as_selector(step.coordinates)}", f"fingerprint {step.fingerprint}"]
    lines += [f"needs {role} {fingerprint}" for role, fingerprint in step.needs.items()]
    lines += _table([_line(name, [step.origins[name]]) for name in sorted(step.origins)])
    return "\n".join([*lines, "", *departures([step])])


def explain_steps(steps: Sequence[Step], *, axes: bool = False) -> str:
    """Every hyper-parameter by stage, then deviations and assumptions. Where a rule makes values differ, each has its line.

    Values of `axes`, such as depth, are left out unless asked for."""
    lines: list[str] = []
    stages: dict[tuple[str, str], list[Step]] = {}
    for step in steps:
        stages.setdefault((step.stage, step.kind), []).append(step)
    for (stage, kind), members in stages.items():
        lines += [f"[stages.{stage}] · {kind} · {counted(len(members), 'Step')}"]
        rows = []
        for name in sorted(members[0].origins):
            if axes or name not in _AXES:
                distinct = {(str(s.value), s.document, s.path): s for s in (step.origins[name] for step in members)}
                rows += [_line(name, [setting]) for setting in distinct.values()]
        lines += [*_table(rows), ""]
    return "\n".join([*lines, *departures(steps)])


def departures(steps: Sequence[Step]) -> Iterator[str]:
    """What differs from the recipe, and what the recipe had to assume."""
    for title, found in (("Deviations", deviations(steps)), ("Assumptions", assumptions(steps))):
        yield f"{title}: {len(found)}"
        yield from _table([_departure_line(departure) for departure in found])


def _departure_line(departure: Departure) -> list[str]:
    setting = departure.setting
    instead = "" if setting.recipe is None else f" instead of {_value(setting.recipe.value)}"
    return [departure.name, _value(setting.value) + instead, ", ".join(departure.stages), setting.source, setting.origin]


def _line(name: str, settings: Sequence[Setting]) -> list[str]:
    setting = settings[0]
    rule = f"when {setting.rule}" if setting.rule else ""
    value = _value(setting.value)
    if setting.recipe is not None:
        value += f" (recipe: {_value(setting.recipe.value)})"
    return [name, value, setting.status or setting.layer, " · ".join(filter(None, (setting.source, rule))), setting.origin]


def _value(value: object) -> str:
    """Empty text is no value: a digest that nobody declares."""
    return written(value) if value != "" else plain(value)


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    widths = [min(_WIDEST, max(len(cell) for cell in column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield ("  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))).rstrip()
