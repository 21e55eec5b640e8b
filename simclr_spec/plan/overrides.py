"""One value that is changed on the command line: --set KEY=VALUE, STAGE.KEY=VALUE or KIND.KEY=VALUE."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from simclr_spec.core.errors import Fault, SpecError, UsageError, did_you_mean
from simclr_spec.core.fields import Schema
from simclr_spec.language import schema
from simclr_spec.language.document import toml_value, value_fault
from simclr_spec.language.setting import Setting, coerce
from simclr_spec.language.spec import Spec, Stage, read_spec
from simclr_spec.language.written import settable
from simclr_spec.stages.kind import ENCODER, LABELS
from simclr_spec.stages.kinds import KINDS

WEIGHTS = "weights"
"""--weights NAME is --set weights=NAME: stages that others start from begin with published weights instead."""
_AXES = {*ENCODER, *LABELS, "encoders", "seeds"}
"""What the spec calls them."""

_WHY_FIXED = {"revision": "it counts the changes of this package", "dataset.name": "a data set is chosen by dataset=NAME"}


@dataclass(frozen=True, kw_only=True)
class Override:
    """One --set: `target` is a stage, a kind, or None for every stage that has the field."""

    target: str | None
    field: str
    setting: Setting


def concerns(text: str, spec: Spec) -> bool:
    """Whether a --set names a field of this spec."""
    target, name = _target(text.partition("=")[0].strip(), spec)
    known = _fields(target, spec)
    return (
        name in known or (name == "dataset" and bool(known)) or (name == WEIGHTS and any(map(replaceable, aimed(target, spec))))
    )


def is_weights(text: str) -> bool:
    return text.partition("=")[0].strip().rpartition(".")[2] == WEIGHTS


def replaceable(stage: Stage) -> bool:
    """Whether published weights may stand in its place."""
    return for_weights(stage.kind)


def for_weights(name: str) -> bool:
    """Whether this is a kind of stages in whose place published weights may stand."""
    return KINDS[name].for_others and not KINDS[name].from_file


def aimed(target: str | None, spec: Spec) -> list[Stage]:
    return [stage for stage in spec.stages.values() if target in (None, stage.name, stage.kind)]


def concerning(sets: Iterable[str], specs: Iterable[str]) -> tuple[str, ...]:
    """Those of the texts that name something in one of these specs: of a plan that has more."""
    read = [read_spec(name) for name in specs]
    return tuple(text for text in sets if any(concerns(text, spec) for spec in read))


def refuse_unknown(sets: Iterable[str], specs: Iterable[str]) -> None:
    """Raises SpecError, or UsageError, at the first of the texts that names nothing in any of these specs."""
    read = [read_spec(name) for name in specs]
    for text in sets:
        if not any(concerns(text, spec) for spec in read):
            read_override(text, read[0])


def _target(key: str, spec: Spec) -> tuple[str | None, str]:
    """A stage or kind, if the key begins with one, and the field."""
    first, _, rest = key.partition(".")
    return (first, rest) if rest and (first in spec.stages or first in KINDS) else (None, key)


def _fields(target: str | None, spec: Spec) -> dict[str, Schema]:
    kinds = {stage.kind for stage in aimed(target, spec)}
    return {field: leaf for kind in sorted(kinds) for field, leaf in schema.fields(kind).items()}


def read_override(text: str, spec: Spec) -> Override:
    """KEY=VALUE, STAGE.KEY=VALUE or KIND.KEY=VALUE; VALUE is TOML, or a bare word."""
    shown = f"--set {text}"
    key, equals, written = text.partition("=")
    key, written = key.strip(), written.strip()
    if not equals or not written:
        raise UsageError(f"--set wants KEY=VALUE, not {text!r}")
    value = written_value(written)
    target, name = _target(key, spec)
    leaf = _known(name, target, spec, shown)
    fault = value_fault(name, value, settable(leaf))
    if fault:
        raise SpecError([Fault(shown, 0, 0, fault)])
    return Override(target=target, field=name, setting=Setting(coerce(value, leaf), "--set", text=shown))


def written_value(text: str) -> Any:
    """What the VALUE of a --set means: TOML, or a bare word."""
    try:
        return toml_value(text)
    except ValueError:
        return text


def _known(name: str, target: str | None, spec: Spec, shown: str) -> Schema:
    """The schema of a field that --set names, or a SpecError."""
    known = _fields(target, spec)
    if target and not known:
        raise SpecError([Fault(shown, 0, 0, f"no stage here is a {target}")])
    if name in schema.AXES | _AXES:
        sentence = f"{name} is an axis of the spec and cannot be set; write it in a copy of the spec"
        raise SpecError([Fault(shown, 0, 0, sentence)])
    if name in schema.FIXED:
        raise SpecError([Fault(shown, 0, 0, f"{name} cannot be set: {_WHY_FIXED[name]}")])
    if name in ("dataset", WEIGHTS):
        return {"type": "string", "description": name}
    if name not in known:
        where = f" in {target}" if target else ""
        fields = {"dataset", *known} - schema.AXES - schema.FIXED
        _, dot, rest = name.partition(".")
        targets = [f"{target}.{rest}" for target in (*spec.stages, *KINDS) if rest in _fields(target, spec)] if dot else []
        hint = (did_you_mean(name, targets) if not target else "") or did_you_mean(name, fields)
        raise SpecError([Fault(shown, 0, 0, f"unknown key {name!r}{where}{hint}")])
    return known[name]
