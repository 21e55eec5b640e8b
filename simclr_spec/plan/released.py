"""A spec that starts from published weights: --weights NAME."""

from __future__ import annotations

from dataclasses import replace

from simclr_spec.core.errors import Fault, SpecError, UsageError, did_you_mean
from simclr_spec.core.words import typed
from simclr_spec.language import schema
from simclr_spec.language.coordinates import matches
from simclr_spec.language.declared import is_path
from simclr_spec.language.overlay import Overlay
from simclr_spec.language.setting import fault_at
from simclr_spec.language.spec import Spec, Stage
from simclr_spec.language.weights import Set, Weights, read_weights
from simclr_spec.plan.overrides import WEIGHTS, Override, aimed, replaceable
from simclr_spec.stages.kinds import FROM_FILE

OFFICIAL = "official"
"""The weights that were released with the recipe."""


def starting_from(spec: Spec, override: Override, recipe: Overlay) -> Spec:
    """Stages that others start from read published weights instead of training. Raises SpecError."""
    typed = override.setting
    try:
        weights = _named(str(typed.value), recipe)
    except UsageError as error:
        raise SpecError([Fault(typed.text, 0, 0, str(error))]) from None
    if not (old := [stage for stage in aimed(override.target, spec) if replaceable(stage)]):
        raise SpecError([Fault(typed.text, 0, 0, "no stage here is one that others start from")])
    if faults := [fault for stage in old if (fault := _trained_otherwise(stage, recipe))]:
        raise SpecError(faults)
    new = {stage.name: _reading(stage, _made_by(stage.kind, weights, typed.text)) for stage in old}
    return replace(
        spec,
        stages={**spec.stages, **new},
        sound=tuple(new.get(stage.name, stage) for stage in spec.sound),
    )


def _named(name: str, recipe: Overlay) -> Weights:
    if name != OFFICIAL:
        if not is_path(name) and (hint := did_you_mean(name, [OFFICIAL])):
            raise UsageError(f"no weights file is named {name!r}{hint}")
        return read_weights(name)
    if recipe.weights is None:
        raise UsageError(f"the recipe {recipe.document.name} names no released weights; name a weights file")
    return read_weights(*recipe.weights)


def _made_by(kind: str, weights: Weights, text: str) -> Set:
    for found in weights.sets.values():
        if found.made_by == kind:
            return found
    raise SpecError([Fault(text, 0, 0, f"{weights.document.name} has no set that was made by a {kind}")])


def _trained_otherwise(stage: Stage, recipe: Overlay) -> Fault | None:
    """A stage of whose training something else is said than of its kind: an arm of a comparison, which no file stands for."""
    of_kind = {**recipe.settings["common"], **recipe.settings[stage.kind]}
    rules = (rule for rule in recipe.rules[stage.kind] if "stage" in rule.when)
    named = (rule for rule in rules if matches({"stage": stage.name}, {"stage": rule.when["stage"]}))
    said = {name: setting for rule in named for name, setting in rule.settings.items()} | dict(stage.settings)
    for name, setting in said.items():
        if name not in schema.fields(FROM_FILE.name) and (name not in of_kind or setting.value != of_kind[name].value):
            sentence = f"[stages.{stage.name}] is trained with {name} {typed(setting.value)}, as these weights were not"
            return fault_at(setting, f"{sentence}; to replace another stage alone say --set STAGE.{WEIGHTS}=NAME")
    return None


def _reading(stage: Stage, found: Set) -> Stage:
    """The values that a file cannot bring are left out with the training."""
    known = schema.fields(FROM_FILE.name)
    settings = {name: setting for name, setting in stage.settings.items() if name in known}
    return replace(stage, kind=FROM_FILE.name, settings=settings, seeds=(), weights=found)
