"""What the axes of a stage and the parents of a Step say: it comes on top of the layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from simclr_spec.core.errors import Fault, SpecError
from simclr_spec.core.words import typed
from simclr_spec.language.coordinates import as_selector
from simclr_spec.language.dataset import label_lists
from simclr_spec.language.document import Path
from simclr_spec.language.setting import Setting, fault_at
from simclr_spec.language.spec import Spec, Stage
from simclr_spec.language.weights import Network
from simclr_spec.plan.resolve import COORDINATE_FIELDS, Resolver, Values, beside
from simclr_spec.plan.step import Step
from simclr_spec.stages.common import LabelsConfig
from simclr_spec.stages.kind import ENCODER, LABELS, Role
from simclr_spec.stages.kinds import KINDS

Place = tuple[str, int, int]
"""File, line and column."""

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

_ROLES: dict[Role, str] = {"from": "where this stage starts", "teacher": "which teaches"}


class Axes:
    """The settings of one stage's Steps that are their own.

    Contradictions with a parent's are noted, and end nothing; a teacher of other images ends the stage."""

    def __init__(self, spec: Spec, resolver: Resolver, stage: Stage) -> None:
        self.resolver, self.stage, self.document = resolver, stage, spec.document
        self.contradictions: dict[Place, Fault] = {}
        facts = resolver.dataset(stage)
        self.dataset = facts["dataset.name"].value
        self._weights = resolver.weights(stage) if KINDS[stage.kind].from_file else None
        document = facts["dataset.image_size"].document  # counts may stand in none
        self._lists = label_lists(document) if document else {}
        self._made: dict[tuple[Any, ...], Setting] = {}
        written = self.document.data["stages"][stage.name]
        self._entries = {
            (name, value): (*stage.path, name, i)
            for name in (*LABELS, "from_layer")
            if isinstance(written.get(name), list)
            for i, value in enumerate(written[name])
        }

    def of_file(self, encoder: Mapping[str, Any], path: Path) -> dict[str, Any]:
        """Coordinates that a network has because of how it was made. Raises SpecError where no file has it."""
        assert self._weights is not None
        layer, fraction = self._network(encoder, path).settings["weights.from_layer"].value, self._weights.label_fraction
        return {} if fraction is None else {"label_fraction": fraction, "from_layer": layer}

    def _network(self, encoder: Mapping[str, Any], path: Path) -> Network:
        """That the weights file has of this encoder."""
        assert self._weights is not None
        for network in self._weights.networks:
            if all(encoder[name] == value for name, value in network.encoder.items()):
                return network
        wanted = as_selector({name: encoder[name] for name in ENCODER})
        sentence = f"{self._weights.source} has no {self._weights.name!r} weights with {wanted}; leave it out with `encoders`"
        raise SpecError([self.document.fault(path, sentence)])

    def settings(self, values: Values, axes: Mapping[str, Any], path: Path, needs: Mapping[str, Step]) -> dict[str, Setting]:
        """Of the Step with these axes, whose encoder is written at `path`."""
        settings: dict[str, Setting] = {}
        if "seed" in axes:
            settings["seed"] = self._setting(
                axes["seed"], ("stages", self.stage.name, "seeds") if self.stage.seeds else ("seeds",)
            )
        for name in ENCODER:
            settings[f"encoder.{name}"] = self._setting(axes[name], (*path, name))
        for name, field in COORDINATE_FIELDS.items():
            if name not in axes or ("from" in needs and name != "from_layer"):
                continue  # the parent's head
            if (own := values.settings.get(field)) is not None:
                where = self._written(name, axes[name]) if name == "from_layer" else (*path, name)
                settings[field] = self._setting(axes[name], where, own.recipe or own)
        if self._weights is not None:
            settings.update(self._of_weights(values, axes, path))
        for parent in needs.values():
            self._check_start(values, settings, parent)
        if "from" in needs:
            settings.update(self._inherited(values, needs["from"]))
        if "teacher" in needs:
            settings.update(self._taught(values, axes, needs["teacher"]))
        elif LABELS[0] in KINDS[self.stage.kind].axes:
            settings.update(self._labels(values, axes, settings["seed"].path))
        return settings

    def _inherited(self, values: Values, parent: Step) -> Iterator[tuple[str, Setting]]:
        """The network of the parent."""
        for name in INHERITED:
            if name not in values.settings or name not in parent.origins:
                continue
            theirs = parent.origins[name]
            if values.settings[name].value != theirs.value and not self._contradicts(name, values, parent, "from"):
                yield name, theirs

    def _of_weights(self, values: Values, axes: Mapping[str, Any], path: Path) -> Iterator[tuple[str, Setting]]:
        """What the weights file says, and the recipe of the rest of the network: no scale changes what was published."""
        assert self._weights is not None
        found = dict(self._network(axes, path).settings)
        for name, own in values.settings.items():
            if name.startswith(("encoder.", "head.")):
                theirs = found[name] = beside(own.recipe or own, found[name]) if name in found else own.recipe or own
                if own.value != theirs.value and _is_for_some(own, name):
                    sentence = (
                        f"{name} {typed(own.value)}, but {self._weights.source} has {typed(theirs.value)} ({theirs.origin})"
                    )
                    self.note(fault_at(own, f"{sentence}; leave it out here"))
        for name, field in COORDINATE_FIELDS.items():
            if name in axes and field in found and axes[name] != found[field].value:
                sentence = f"{name} {axes[name]}, but the networks of {self._weights.source} have {found[field].value}"
                self.note(self.document.fault((*path, name), sentence))
        yield from found.items()

    def _check_start(self, values: Values, settings: Mapping[str, Setting], parent: Step) -> None:
        """Whether weights that were trained elsewhere have what this stage needs of them."""
        kind, (held, layers) = KINDS[self.stage.kind], (parent.origins.get(f"weights.{n}") for n in ("classes", "head_layers"))
        if held is None or layers is None or kind.parent is None:
            return
        if kind.parent.classifies:
            classes = values.settings["dataset.classes"]
            if held.value is None:
                sentence = f"the weights of {parent.stage!r} have no classifier ({held.origin}), which a {kind.name} needs"
                self.note(self.document.fault((*self.stage.path, kind.parent.role), f"{sentence}; fine-tune them first"))
            elif classes.value != held.value:
                sentence = f"the weights of {parent.stage!r} know {held.value:,} classes ({held.origin})"
                name = values.settings["dataset.name"].value
                self.note(fault_at(classes, f"{sentence}, but {name} has {typed(classes.value)}"))
        layer = settings.get("from_layer") or values.settings.get(kind.layer_of_head)
        if kind.layer_of_head and layer is not None and layer.value > layers.value:
            holds = f"hold {layers.value} of the head's layers" if layers.value else "have no projection head"
            sentence = f"from_layer {layer.value}, but the weights of {parent.stage!r} {holds} ({layers.origin})"
            option = f"write from_layer = {layers.value} in [stages.{self.stage.name}] or --set from_layer={layers.value}"
            self.note(self.document.fault(self.stage.path, f"{sentence}; {option}", key=True))

    def _taught(self, values: Values, axes: Mapping[str, Any], teacher: Step) -> Iterator[tuple[str, Setting]]:
        """The labels of the teacher; of one that was trained elsewhere, as many drawn here."""
        self._check_images(values, teacher)
        if "labels.fraction" not in teacher.origins:
            yield from self._labels(values, axes, self.stage.path)
            return
        for field in fields(LabelsConfig):
            yield f"labels.{field.name}", teacher.origins[f"labels.{field.name}"]
        for name in ("labels.sampler", "labels.list_digest"):
            self._contradicts(name, values, teacher, "teacher")

    def _check_images(self, values: Values, teacher: Step) -> None:
        """A teacher knows the classes of its own images only."""
        for name in ("dataset.name", "dataset.classes", "dataset.digest"):
            own, theirs = values.settings[name], teacher.origins[name]
            if own.value != theirs.value:
                sentence = f"{name} {typed(own.value)}, but {teacher.stage!r}, which teaches, has {typed(theirs.value)}"
                if name == "dataset.name":
                    own = self.resolver.dataset_name(self.stage)[0] or own
                raise SpecError([fault_at(own, f"{sentence}; a student needs the images of its teacher")])

    def _labels(self, values: Values, axes: Mapping[str, Any], seeds: Path) -> Iterator[tuple[str, Setting]]:
        fraction, per_class = axes.get("label_fraction"), axes.get("labels_per_class")
        at = self._written("label_fraction", fraction) if per_class is None else self._written("labels_per_class", per_class)
        published = dict(self._published(values, fraction))
        drawn = fraction != 1.0 and published.get("labels.sampler", values.settings["labels.sampler"]).value == "balanced"
        yield "labels.fraction", self._setting(fraction, at)
        yield "labels.per_class", self._setting(per_class, at)
        yield from published.items()
        yield "labels.seed", self._setting(axes["seed"] if drawn else None, seeds)

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

    def _contradicts(self, name: str, values: Values, parent: Step, role: Role) -> bool:
        """Whether another value than the parent's was written for this stage or its kind; if so, notes it."""
        own, theirs = values.settings[name], parent.origins[name]
        if own.value == theirs.value or not _is_for_some(own, name):
            return False
        sentence = f"{name} {typed(own.value)}, but {parent.stage!r}, {_ROLES[role]}, has {typed(theirs.value)}"
        self.note(fault_at(own, f"{sentence} ({theirs.origin}); change it there, or leave it out here"))
        return True

    def _written(self, name: str, value: Any) -> Path:
        """Where the stage says so: of a list, the entry."""
        return self._entries.get((name, value), (*self.stage.path, name))

    def _setting(self, value: Any, path: Path, of_recipe: Setting | None = None) -> Setting:
        """An axis's value; `of_recipe` is what the recipe says."""
        key = (type(value).__name__, value, path, of_recipe)
        if key not in self._made:
            self._made[key] = beside(of_recipe, Setting(value, "axis", self.document, path))
        return self._made[key]

    def note(self, fault: Fault) -> None:
        """One per place: the same value contradicts others in several Steps."""
        self.contradictions.setdefault(fault[:3], fault)


def _is_for_some(setting: Setting, name: str) -> bool:
    """Whether the value was written for one stage or one kind, not for all."""
    if setting.layer == "--set":
        return not setting.text.startswith(f"--set {name}=")
    return setting.layer == "spec" or (setting.layer == "scale" and setting.path[0] != "common")
