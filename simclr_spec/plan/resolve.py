"""From layers to values: recipe [common] < recipe [kind] < its rules < scale (same layout) < the spec's stage < --set.

Every value remembers its origin, and what the recipe says when it says something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from simclr_spec.core.errors import Fault, SpecError, UsageError
from simclr_spec.language import schema
from simclr_spec.language.coordinates import matches
from simclr_spec.language.dataset import read_dataset
from simclr_spec.language.declared import absolute, is_path, names, unknown
from simclr_spec.language.document import Document
from simclr_spec.language.overlay import Overlay, read_overlay
from simclr_spec.language.setting import Setting, fault_at
from simclr_spec.language.spec import Spec, Stage
from simclr_spec.language.weights import Set, chosen, read_weights
from simclr_spec.plan.overrides import Override, is_weights, read_override
from simclr_spec.plan.released import starting_from
from simclr_spec.stages.kinds import KINDS

COORDINATE_FIELDS = {"head_layers": "head.layers", "head_width": "head.width", "from_layer": "from_layer"}
"""Coordinates that are resolved values themselves; a rule may ask for them."""

DEFAULTS = {"labels.list_digest": ""}
"""Fields that mean 'nothing' unless a recipe says otherwise."""

_UNPINNED = ("dataset.digest", "")
"""A data set that does not say which copy of its images is meant: to pin one departs from nothing."""

UNSCALED = "paper"
"""The scale's name that asks for the recipe as it stands."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Values:
    """Of one stage under one set of matching rules, before the axes of a Step are filled in; equal to itself only."""

    settings: Mapping[str, Setting]
    params: Mapping[str, Any]
    """nested plain values"""


class Resolver:
    """The layers of one spec at one scale."""

    def __init__(self, spec: Spec, scale: str | None, sets: Sequence[str]) -> None:
        self.spec = spec
        self.recipe = self._named("recipe", spec.recipe)
        for text in sets:
            if is_weights(text):
                self.spec = spec = starting_from(spec, read_override(text, spec), self.recipe)
        self.scale: Overlay | None = None
        if scale is not None and scale != UNSCALED:
            self.scale = read_overlay("scale", scale, None)
        elif scale is None and spec.scale is not None and spec.scale != UNSCALED:
            self.scale = self._named("scale", spec.scale)
        for document in (self.recipe.names_dataset, spec.document, *([self.scale.document] if self.scale else [])):
            _check_dataset_name(document)
        self.overrides = [read_override(text, spec) for text in sets if not is_weights(text)]
        if self.scale is not None and self.scale.dataset is not None:
            self._check_datasets(self.scale)
        self._datasets: dict[tuple[Any, ...], dict[str, Setting]] = {}
        self._values: dict[tuple[Any, ...], Values] = {}
        self._answers: dict[tuple[Any, ...], Values] = {}
        self._asked: dict[str, tuple[str, ...]] = {}
        self._layers = [self.recipe] + ([self.scale] if self.scale else [])

    def _check_datasets(self, scale: Overlay) -> None:
        """A scale may replace the recipe's images, never those that the spec names; --set is the person's own word."""
        document, brought = self.spec.document, scale.dataset and absolute(scale.dataset, scale.document.folder)
        faults = []
        for stage in self.spec.stages.values():
            named, path = (stage.dataset, stage.path) if stage.dataset is not None else (self.spec.dataset, ())
            typed = any(override.field == "dataset" for override in self.overrides_of(stage))
            if named is not None and not typed and absolute(named, document.folder) != brought:
                sentence = f"dataset {named!r}, but the scale {scale.document.name!r} brings {scale.dataset!r}"
                faults.append(
                    document.fault((*path, "dataset"), f"{sentence}; name another scale, or none, or say --set dataset=NAME")
                )
        if faults:
            raise SpecError(faults)

    @property
    def may_rehearse(self) -> bool:
        """Whether a scale is all it takes: no spec, no --set and no file of a person's own names any images, nor weights."""
        named = [self.spec.dataset, *(stage.dataset for stage in self.spec.stages.values())]
        typed = any(override.field == "dataset" for override in self.overrides)
        own = any(layer.dataset is not None and is_path(layer.dataset) for layer in self._layers)
        read = any(KINDS[stage.kind].from_file for stage in self.spec.stages.values())
        return not (any(named) or typed or own or read)

    def _named(self, kind: Literal["recipe", "scale"], name: str) -> Overlay:
        """The recipe or scale that the spec names; a wrong name is the spec's fault."""
        document = self.spec.document
        try:
            return read_overlay(kind, name, document.folder)
        except UsageError as error:
            raise SpecError([document.fault((kind,), str(error))]) from None

    def dataset(self, stage: Stage) -> dict[str, Setting]:
        """`dataset.*` of a stage; its name remembers the recipe's data set, when that is another one."""
        name, folder = self.dataset_name(stage)
        if name is None:
            sentence = "no data set is named here, nor by the recipe or the scale; add dataset = '...'"
            raise SpecError([self.spec.document.fault((), sentence)])
        key = (name.value, folder, name.path, name.text)
        if key not in self._datasets:
            try:
                _, facts = read_dataset(name.value, folder)
            except UsageError as error:
                raise SpecError([fault_at(name, str(error))]) from None
            recipe = self.recipe.foundation
            first = recipe.dataset or self.spec.dataset
            if first is not None and first != name.value:
                of_recipe = Setting(first, "recipe", recipe.names_dataset, ("dataset",))
                facts["dataset.name"] = replace(name, value=facts["dataset.name"].value, recipe=of_recipe)
            self._datasets[key] = facts
        return self._datasets[key]

    def dataset_name(self, stage: Stage) -> tuple[Setting | None, Any]:
        """The name as it was written, and the folder from which its path starts."""
        document = self.spec.document
        if typed := [override for override in self.overrides_of(stage) if override.field == "dataset"]:
            return typed[-1].setting, None
        if stage.dataset is not None:
            return Setting(stage.dataset, "spec", document, (*stage.path, "dataset")), document.folder
        if self.scale is not None and self.scale.dataset is not None:
            return Setting(self.scale.dataset, "scale", self.scale.document, ("dataset",)), self.scale.document.folder
        if self.spec.dataset is not None:
            return Setting(self.spec.dataset, "spec", document, ("dataset",)), document.folder
        if self.recipe.dataset is not None:
            document = self.recipe.names_dataset
            return Setting(self.recipe.dataset, "recipe", document, ("dataset",)), document.folder
        return None, None

    def weights(self, stage: Stage) -> Set:
        """The networks of a stage that reads them from files. Raises SpecError."""
        document = self.spec.document
        assert stage.weights is not None
        if isinstance(stage.weights, Set):
            return stage.weights
        try:
            found = chosen(read_weights(stage.weights, document.folder), stage.set)
        except UsageError as error:
            raise SpecError([document.fault((*stage.path, "weights"), str(error))]) from None
        if isinstance(found, str):
            at = "set" if stage.set is not None else "weights"
            raise SpecError([document.fault((*stage.path, at), found)])
        return found

    def overrides_of(self, stage: Stage) -> Iterator[Override]:
        return (override for override in self.overrides if override.target in (None, stage.kind, stage.name))

    def values(self, stage: Stage, coordinates: Mapping[str, Any]) -> tuple[Values, dict[str, Any]]:
        """Of a Step with these coordinates: its values, and those of them that are coordinates and no axis says."""
        known = schema.fields(stage.kind)
        pending = {key: name for key, name in COORDINATE_FIELDS.items() if name in known and key not in coordinates}
        question = (stage.name, *pending, *map(coordinates.get, self._asked_by_rules(stage.kind)))
        if question not in self._answers:
            self._answers[question] = self._settled(stage, coordinates, pending)
        values = self._answers[question]
        return values, {key: values.settings[name].value for key, name in pending.items()}

    def _asked_by_rules(self, kind: str) -> tuple[str, ...]:
        """Coordinates that any rule of the kind looks at."""
        if kind not in self._asked:
            self._asked[kind] = tuple({key: None for layer in self._layers for rule in layer.rules[kind] for key in rule.when})
        return self._asked[kind]

    def _settled(self, stage: Stage, coordinates: Mapping[str, Any], pending: Mapping[str, str]) -> Values:
        """Rules may ask for coordinates that rules decide: look again until nothing changes."""
        coordinates = dict(coordinates)
        for _ in range(4):
            matching = tuple(
                tuple(i for i, rule in enumerate(layer.rules[stage.kind]) if matches(coordinates, rule.when))
                for layer in self._layers
            )
            key = (stage.name, matching)
            if key not in self._values:
                self._values[key] = self._resolve(stage, matching)
            now = {coordinate: self._values[key].settings[name].value for coordinate, name in pending.items()}
            if all(coordinates.get(coordinate) == value for coordinate, value in now.items()):
                return self._values[key]
            coordinates.update(now)
        sentence = f"the rules of {stage.kind} contradict each other"
        raise SpecError([self.recipe.document.fault((stage.kind, "rules"), sentence, key=True)])

    def _resolve(self, stage: Stage, matching: tuple[tuple[int, ...], ...]) -> Values:
        known = schema.fields(stage.kind)
        settings = {name: Setting(value, "fixed") for name, value in DEFAULTS.items() if name in known}
        settings.update(self.dataset(stage))
        settings["revision"] = Setting(known["revision"]["enum"][-1], "fixed")
        recipe = self.recipe.foundation
        own_rules = tuple(i for i in matching[0] if i < len(recipe.rules[stage.kind]))
        settings.update(item for item in _of_layer(recipe, stage.kind, own_rules) if item[0] in known)
        of_recipe = {name: setting for name, setting in settings.items() if (name, setting.value) != _UNPINNED}
        extending = dict(_of_layer(self.recipe, stage.kind, matching[0]))
        later = [item for item in extending.items() if item[1] is not of_recipe.get(item[0])]
        if self.scale is not None:
            later += _of_layer(self.scale, stage.kind, matching[1])
        later += stage.settings.items()
        later += ((override.field, override.setting) for override in self.overrides_of(stage))
        for name, setting in later:
            if name in known:
                settings[name] = beside(of_recipe.get(name), setting)
        classes = settings["dataset.classes"]
        for name in KINDS[stage.kind].needing_classes if classes.value is None else ():
            if (own := settings.get(name)) is not None and own.layer == "recipe":
                settings[name] = beside(own, replace(classes, value=False))
        missing = known.keys() - settings.keys() - schema.AXES
        if missing:
            raise SpecError([self._missing(name, stage) for name in missing])
        return Values(settings=settings, params=_nested({name: setting.value for name, setting in settings.items()}))

    def _missing(self, name: str, stage: Stage) -> Fault:
        document = self.recipe.document
        *above, last = name.split(".")
        at = (stage.kind, *above) if above and above[0] in document.data.get(stage.kind, {}) else ("common", *above)
        if not above:
            at = (stage.kind,)
        sentence = f"{stage.kind} lacks {name!r}; add {last} = {{ value = …, source = '…', status = '…' }}"
        return document.fault(at, sentence, key=True)


def _check_dataset_name(document: Document) -> None:
    """A declared data set must exist even where another one takes its place."""
    name = document.data.get("dataset")
    if name is not None and not is_path(name) and name not in names("dataset"):
        raise SpecError([document.fault(("dataset",), unknown("dataset", name))])


def _of_layer(layer: Overlay, kind: str, matching: tuple[int, ...]) -> list[tuple[str, Setting]]:
    settings = [*layer.settings["common"].items(), *layer.settings[kind].items()]
    for i in matching:
        settings += layer.rules[kind][i].settings.items()
    return settings


def beside(of_recipe: Setting | None, setting: Setting) -> Setting:
    """A later layer's setting, knowing what the recipe said; who says the same once more does not say why."""
    if of_recipe is None:
        return setting
    if of_recipe.value == setting.value:
        return replace(setting, status=of_recipe.status, source=of_recipe.source)
    return replace(setting, recipe=of_recipe)


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for dotted, value in flat.items():
        *above, last = dotted.split(".")
        table = root
        for part in above:
            table = table.setdefault(part, {})
        table[last] = value
    return root
