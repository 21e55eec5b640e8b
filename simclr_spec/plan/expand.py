"""From a spec's stages to its Steps: one per parent Step and own axis value, parents first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from simclr_spec.core.errors import Fault, SpecError
from simclr_spec.core.words import typed
from simclr_spec.language.coordinates import KEYS, matches, show
from simclr_spec.language.dataset import label_lists
from simclr_spec.language.document import Path
from simclr_spec.language.schema import LABELLED
from simclr_spec.language.setting import Setting, fault_at
from simclr_spec.language.spec import Reference, Spec, Stage
from simclr_spec.plan.checks import check
from simclr_spec.plan.fingerprint import fingerprint
from simclr_spec.plan.resolve import COORDINATE_FIELDS, Resolver, Values, beside
from simclr_spec.plan.step import Step, label

MOST_STEPS = 100_000
MOST_COMPARISONS = 2_000_000
"""Of parents or encoders with the selectors of the stages, over all stages."""

INHERITED = (
    "encoder.base_width",
    "encoder.stem",
    "encoder.sk_ratio",
    "encoder.sk_min_width",
    "encoder.bn_epsilon",
    "encoder.max_pool",
    "encoder.stride",
    "encoder.sk_dilation",
    "encoder.shortcut_pool",
    "head.layers",
    "head.width",
    "head.out_dim",
    "head.last_beta",
)
"""Fields of the network that a Step takes over from the Step it starts from."""

_ENCODER = ("depth", "width", "sk", "head_layers", "head_width")
_LABELS = ("label_fraction", "labels_per_class")
_Place = tuple[str, int, int]
"""File, line and column."""


def expand(spec: Spec, resolver: Resolver) -> Iterator[Step]:
    """Every Step of the sound stages, parents before children. Raises SpecError with the faults of all of them."""
    faults: list[Fault] = []
    contradictions: dict[_Place, Fault] = {}
    made: dict[str, list[Step]] = {}
    count = compared = 0
    for stage in spec.sound:
        if stage.parent is not None and stage.parent.stage not in made:
            continue  # its parent's stage has no Steps, which is told already
        parents = made[stage.parent.stage] if stage.parent is not None else []
        compared += len(parents or spec.rows) * max(1, len(stage.encoders))
        if compared > MOST_COMPARISONS:
            sentence = f"the selectors of this spec need more than {MOST_COMPARISONS:,} comparisons; use fewer, or split it"
            faults.append(spec.document.fault(stage.path, sentence, key=True))
            break
        try:
            expansion = _Expansion(spec, resolver, stage, parents, contradictions)
            steps = list(islice(expansion.steps(), MOST_STEPS - count + 1))
        except SpecError as error:
            faults += error.faults
            continue
        count += len(steps)
        if count > MOST_STEPS:
            faults.append(spec.document.fault(stage.path, f"this spec has more than {MOST_STEPS:,} Steps; split it", key=True))
            break
        if steps:
            made[stage.name] = steps
        elif spec.rows:
            faults.append(spec.document.fault(stage.path, _empty(stage), key=True))
    if faults or contradictions:
        raise SpecError([*faults, *contradictions.values()])
    for steps in made.values():
        yield from steps


def _empty(stage: Stage) -> str:
    why = "its `encoders` match none of those at hand" if stage.encoders else "no Step of its parent matches"
    return f"[stages.{stage.name}] has no Steps: {why}"


def _head_of(teacher: Step) -> dict[str, Any]:
    """Coordinates of the head that a teacher, or the teacher's own teacher, was fine-tuned with."""
    known = {key if key.startswith("teacher_") else f"teacher_{key}": value for key, value in teacher.coordinates.items()}
    return {name: known[name] for name in ("teacher_from_layer", "teacher_head_layers", "teacher_head_width") if name in known}


class _Expansion:
    """The Steps of one stage; a contradiction between values is noted, and ends nothing."""

    def __init__(
        self, spec: Spec, resolver: Resolver, stage: Stage, parents: list[Step], contradictions: dict[_Place, Fault]
    ) -> None:
        self.spec, self.resolver, self.stage, self.parents, self.contradictions = spec, resolver, stage, parents, contradictions
        self.document = spec.document
        facts = resolver.dataset(stage)
        self._dataset = facts["dataset.name"].value
        document = facts["dataset.image_size"].document  # counts may stand in none
        self._lists = label_lists(document) if document else {}
        self._axis: dict[tuple[Any, ...], Setting] = {}
        self._agreeing: set[tuple[Any, ...]] = set()
        self._typed = {override.field for override in resolver.overrides_of(stage)}
        self._from_layers = () if "from_layer" in self._typed else stage.from_layers
        said = self.document.data["stages"][stage.name]
        self._entries = {
            (name, value): (*stage.path, name, i)
            for name in (*_LABELS, "from_layer")
            if isinstance(said.get(name), list)
            for i, value in enumerate(said[name])
        }
        if stage.kind in LABELLED:
            self._labels: list[tuple[str, Any]] = [("labels_per_class", n) for n in stage.per_class]
            self._labels += [("label_fraction", share) for share in stage.fractions or (() if stage.per_class else (1.0,))]

    def steps(self) -> Iterator[Step]:
        if self.stage.kind == "distill":
            yield from self._distilled()
        elif self.parents:
            where = self.stage.parent.where if self.stage.parent else {}
            for parent in self.parents:
                if parent.matches(where) and self._wanted(parent.coordinates):
                    encoder = {key: parent.coordinates[key] for key in _ENCODER if key in parent.coordinates}
                    yield from self._labelled(encoder, self._path_of(parent), {"from": parent}, {})
        elif self.stage.parent is None:
            for row, path in self.spec.rows:
                said = row.coordinates()
                coordinates = {key: said[key] for key in said if COORDINATE_FIELDS.get(key) not in self._typed}
                if self.stage.kind != "pretrain":
                    coordinates = {key: coordinates[key] for key in ("depth", "width", "sk")}
                if self._wanted(coordinates):
                    yield from self._labelled(coordinates, path, {}, {})

    def _path_of(self, parent: Step) -> Path:
        return parent.origins["encoder.depth"].path[:-1]

    def _wanted(self, coordinates: Mapping[str, Any]) -> bool:
        return not self.stage.encoders or any(matches(coordinates, selector) for selector in self.stage.encoders)

    def _labelled(self, encoder: dict[str, Any], path: Path, needs: dict[str, Step], more: dict[str, Any]) -> Iterator[Step]:
        """The product of labels, layers and seeds."""
        labels: Iterable[tuple[str, Any] | None] = self._labels if self.stage.kind in LABELLED else [None]
        for amount in labels:
            for layer in self._from_layers or (None,):
                for seeds in self._seeds(next(iter(needs.values()), None)):
                    coordinates = {**encoder, **more, **seeds}
                    if amount is not None:
                        coordinates[amount[0]] = amount[1]
                    if layer is not None:
                        coordinates["from_layer"] = layer
                    yield self._step(coordinates, path, needs)

    def _seeds(self, parent: Step | None) -> Iterator[dict[str, Any]]:
        """Own seeds times the parent's chain, or the parent's alone."""
        if parent is None:
            for seed in self.stage.seeds or self.spec.seeds:
                yield {"seed": seed}
            return
        chain = {key: value for key, value in parent.coordinates.items() if key.endswith("_seed")}
        if not self.stage.seeds:
            yield {"seed": parent.coordinates["seed"], **chain}
        for seed in self.stage.seeds:
            yield {"seed": seed, **chain, f"{parent.stage}_seed": parent.coordinates["seed"]}

    def _distilled(self) -> Iterator[Step]:
        """One Step per student and teacher; what the teacher's table does not fix is the student's."""
        assert self.stage.parent is not None
        where = self.stage.parent.where
        shared = [key for key in ("depth", "width", "sk") if key not in where]
        teachers: dict[tuple[Any, ...], list[Step]] = {}
        for parent in self.parents:
            if parent.matches(where):
                teachers.setdefault(tuple(parent.coordinates[key] for key in shared), []).append(parent)
        if not teachers:
            raise SpecError([self._no_teacher(self.stage.parent, where)])
        seen = set()
        for row, path in self.spec.rows:
            student = {"depth": row.depth, "width": row.width, "sk": row.sk}
            if not self._wanted(student) or tuple(student.values()) in seen:
                continue
            seen.add(tuple(student.values()))
            key = tuple(student[name] for name in shared)
            if key not in teachers:
                raise SpecError([self._no_teacher(self.stage.parent, {**where, **dict(zip(shared, key, strict=True))})])
            for teacher in teachers[key]:
                more = {f"teacher_{name}": teacher.coordinates[name] for name in student}
                more.update(_head_of(teacher))
                more["self_distillation"] = all(teacher.coordinates[name] == value for name, value in student.items())
                labels = {name: teacher.coordinates[name] for name in _LABELS if name in teacher.coordinates}
                yield from self._labelled({**student, **labels}, path, {"teacher": teacher}, more)

    def _no_teacher(self, reference: Reference, wanted: Mapping[str, Any]) -> Fault:
        keys = [key for key in wanted if key in KEYS]
        near = [key for key in keys if not any(matches(step.coordinates, {key: wanted[key]}) for step in self.parents)]
        at = next((key for key in near or keys if key in reference.where), None)
        have = ""
        if near:
            known = dict.fromkeys(step.coordinates.get(near[0], "none") for step in self.parents)
            have = f"; its {near[0]} is {', '.join(map(typed, known))}"
        sentence = f"no Step of {reference.stage!r} has {show(wanted)}{have}"
        return self.document.fault((*reference.path, at) if at else reference.path, sentence)

    def _step(self, axes: dict[str, Any], path: Path, needs: dict[str, Step]) -> Step:
        stage = self.stage
        coordinates = {"stage": stage.name, "kind": stage.kind, "dataset": self._dataset, **axes}
        from_axis = frozenset(key for key in COORDINATE_FIELDS if key in axes)
        values = self.resolver.values(stage, coordinates, from_axis)
        settings = self._settings(values, coordinates, path, needs, from_axis)
        params = _filled(values, settings)
        self._check(values, settings, axes, coordinates)
        fingerprints = {role: parent.fingerprint for role, parent in needs.items()}
        identity = fingerprint(stage.kind, params, fingerprints)
        name = label(params)
        return Step((stage.name,), stage.kind, name, identity, fingerprints, coordinates, params, values.settings, settings)

    def _settings(
        self, values: Values, coordinates: dict[str, Any], path: Path, needs: dict[str, Step], from_axis: frozenset[str]
    ) -> dict[str, Setting]:
        """What the axes and the parent say: it comes on top of the layers."""
        at = ("stages", self.stage.name, "seeds") if self.stage.seeds else ("seeds",)
        settings = {"seed": self._setting(coordinates["seed"], at)}
        for name in ("depth", "width", "sk"):
            settings[f"encoder.{name}"] = self._setting(coordinates[name], (*path, name))
        for name in from_axis:
            if "from" in needs and name != "from_layer":
                continue  # the parent's head
            if (own := values.settings.get(COORDINATE_FIELDS[name])) is not None:
                where = self._written(name, coordinates[name]) if name == "from_layer" else (*path, name)
                settings[COORDINATE_FIELDS[name]] = self._setting(coordinates[name], where, own.recipe or own)
        if "from" in needs:
            self._inherit(values, needs["from"], settings)
            for name in ("head_layers", "head_width"):
                if name in needs["from"].coordinates:
                    coordinates[name] = needs["from"].coordinates[name]
        if "teacher" in needs:
            self._check_images(values, needs["teacher"])
            for name in ("fraction", "per_class", "sampler", "list_digest", "seed"):
                settings[f"labels.{name}"] = needs["teacher"].origins[f"labels.{name}"]
            for name in ("labels.sampler", "labels.list_digest"):
                self._contradicts(name, values, needs["teacher"])
        elif self.stage.kind in LABELLED:
            self._label_settings(values, coordinates, settings)
        return settings

    def _check_images(self, values: Values, teacher: Step) -> None:
        """A teacher knows the classes of its own images only."""
        for name in ("dataset.name", "dataset.classes", "dataset.digest"):
            own, theirs = values.settings[name], teacher.origins[name]
            if own.value != theirs.value:
                sentence = f"{name} {typed(own.value)}, but {teacher.stage!r}, which teaches, has {typed(theirs.value)}"
                if name == "dataset.name":
                    own = self.resolver.dataset_name(self.stage)[0] or own
                raise SpecError([fault_at(own, f"{sentence}; a student needs the images of its teacher")])

    def _label_settings(self, values: Values, coordinates: dict[str, Any], settings: dict[str, Setting]) -> None:
        fraction, per_class = coordinates.get("label_fraction"), coordinates.get("labels_per_class")
        at = self._written("label_fraction", fraction) if per_class is None else self._written("labels_per_class", per_class)
        settings["labels.fraction"] = self._setting(fraction, at)
        settings["labels.per_class"] = self._setting(per_class, at)
        settings.update(self._published(values, fraction))
        drawn = fraction != 1.0 and settings.get("labels.sampler", values.settings["labels.sampler"]).value == "balanced"
        settings["labels.seed"] = self._setting(coordinates["seed"] if drawn else None, settings["seed"].path)

    def _published(self, values: Values, fraction: float | None) -> Iterator[tuple[str, Setting]]:
        """The data set's list for this fraction: it goes before the recipe's sampler, and after anybody else's."""
        listed = {} if fraction is None else self._lists.get(fraction, {})
        drawn = values.settings["labels.sampler"].layer != "recipe" and values.settings["labels.sampler"].value == "balanced"
        for name, theirs in listed.items():
            own = values.settings[name]
            if own.layer in ("recipe", "fixed"):
                if not drawn:
                    yield name, theirs
            elif own.value != theirs.value:
                yield name, replace(own, recipe=theirs)
        if fraction == 1.0 and values.settings["labels.sampler"].value == "balanced":
            yield "labels.list_digest", Setting("", "fixed")  # all labels: no list is read

    def _inherit(self, values: Values, parent: Step, settings: dict[str, Setting]) -> None:
        """The network of the parent."""
        for name in INHERITED:
            if name not in values.settings or name not in parent.origins:
                continue
            theirs = parent.origins[name]
            if values.settings[name].value != theirs.value and not self._contradicts(name, values, parent):
                settings[name] = theirs

    def _contradicts(self, name: str, values: Values, parent: Step) -> bool:
        """Whether another value than the parent's was written for this stage or its kind; if so, notes it."""
        own, theirs = values.settings[name], parent.origins[name]
        if own.value == theirs.value or not _is_for_some(own, name):
            return False
        role = "which teaches" if self.stage.kind == "distill" else "where this stage starts"
        sentence = f"{name} {typed(own.value)}, but {parent.stage!r}, {role}, has {typed(theirs.value)}"
        self._note(fault_at(own, f"{sentence} ({theirs.origin}); change it there, or leave it out here"))
        return True

    def _written(self, name: str, value: Any) -> Path:
        """Where the stage says so: of a list, the entry."""
        return self._entries.get((name, value), (*self.stage.path, name))

    def _setting(self, value: Any, path: Path, said: Setting | None = None) -> Setting:
        """An axis's value; `said` is what the recipe says."""
        key = (type(value).__name__, value, path, said)
        if key not in self._axis:
            self._axis[key] = beside(said, Setting(value, "axis", self.document, path))
        return self._axis[key]

    def _check(self, values: Values, settings: dict[str, Setting], axes: dict[str, Any], coordinates: dict[str, Any]) -> None:
        """Contradictions between values; a combination without any is looked at once."""
        key = (id(values), *(axes.get(name) for name in (*_LABELS, "from_layer")), coordinates.get("head_layers"))
        if key not in self._agreeing:
            found = list(check(self.stage, {**values.settings, **settings}))
            for fault in found:
                self._note(fault)
            if not found:
                self._agreeing.add(key)

    def _note(self, fault: Fault) -> None:
        """One per place: the same value contradicts others in several Steps."""
        self.contradictions.setdefault(fault[:3], fault)


def _is_for_some(setting: Setting, name: str) -> bool:
    """Whether the value was written for one stage or one kind, not for all."""
    if setting.layer == "--set":
        return not setting.text.startswith(f"--set {name}=")
    return setting.layer == "spec" or (setting.layer == "scale" and setting.path[0] != "common")


def _filled(values: Values, settings: Mapping[str, Setting]) -> dict[str, Any]:
    """Nested parameters with the axes' values put in; shares the tables that do not change."""
    params = dict(values.params)
    copied: set[str] = set()
    for dotted, setting in settings.items():
        table, _, name = dotted.partition(".")
        if not name:
            params[table] = setting.value
            continue
        if table not in copied:
            copied.add(table)
            params[table] = dict(params.get(table, ()))
        params[table][name] = setting.value
    return params
