"""From a spec's stages to its Steps: one per parent Step and own axis value, parents first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from simclr_spec.core.errors import Fault, SpecError
from simclr_spec.core.words import typed
from simclr_spec.language.coordinates import KEYS, as_selector, matches
from simclr_spec.language.document import Path
from simclr_spec.language.setting import Setting
from simclr_spec.language.spec import Reference, Spec, Stage
from simclr_spec.plan import checks
from simclr_spec.plan.axes import Axes, Place
from simclr_spec.plan.fingerprint import fingerprint
from simclr_spec.plan.resolve import COORDINATE_FIELDS, Resolver, Values
from simclr_spec.plan.step import Step, label
from simclr_spec.stages.kind import ENCODER, HEAD, LABELS
from simclr_spec.stages.kinds import KINDS

MOST_STEPS = 100_000
MOST_COMPARISONS = 2_000_000
"""Of parents or encoders with the selectors of the stages, over all stages."""


def expand(spec: Spec, resolver: Resolver) -> Iterator[Step]:
    """Every Step of the sound stages, parents before children. Raises SpecError with the faults of all of them."""
    faults: list[Fault] = []
    expansions: list[_Expansion] = []
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
            expansions.append(_Expansion(spec, resolver, stage, parents))
            steps = list(islice(expansions[-1].steps(), MOST_STEPS - count + 1))
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
    contradictions: dict[Place, Fault] = {}
    for expansion in expansions:
        contradictions = {**expansion.axes.contradictions, **contradictions}  # of one place, the first
    if faults or contradictions:
        raise SpecError([*faults, *contradictions.values()])
    for steps in made.values():
        yield from steps


def _empty(stage: Stage) -> str:
    why = "its `encoders` match none of those at hand" if stage.encoders else "no Step of its parent matches"
    return f"[stages.{stage.name}] has no Steps: {why}"


class _Expansion:
    """The Steps of one stage; a contradiction between values is noted, and ends nothing."""

    def __init__(self, spec: Spec, resolver: Resolver, stage: Stage, parents: list[Step]) -> None:
        self.spec, self.resolver, self.stage, self.parents = spec, resolver, stage, parents
        self.kind = KINDS[stage.kind]
        self.axes = Axes(spec, resolver, stage)
        self._agreeing: set[tuple[Any, ...]] = set()
        self._typed = {override.field for override in resolver.overrides_of(stage)}
        self._from_layers = () if "from_layer" in self._typed else stage.from_layers
        self._labels: list[tuple[str, Any]] = [("labels_per_class", n) for n in stage.per_class]
        self._labels += [("label_fraction", share) for share in stage.fractions or (() if stage.per_class else (1.0,))]

    def steps(self) -> Iterator[Step]:
        if self.kind.parent is None:
            yield from self._of_rows()
        elif self.kind.parent.role == "teacher":
            yield from self._taught()
        else:
            yield from self._started()

    def _of_rows(self) -> Iterator[Step]:
        """A network of its own for every row of the spec's encoders."""
        for row, path in self.spec.rows:
            encoder = {
                key: value
                for key, value in row.coordinates().items()
                if key in self.kind.axes and COORDINATE_FIELDS.get(key) not in self._typed
            }
            if self._wanted(encoder):
                read = self.axes.of_file(encoder, path) if self.kind.from_file else {}
                yield from self._multiplied({**encoder, **read}, path, {})

    def _started(self) -> Iterator[Step]:
        """The networks of its parents, with all that tells these from each other."""
        where = self.stage.parent.where if self.stage.parent else {}
        telling = [*ENCODER, *HEAD, *(key for key in (*LABELS, "from_layer") if key not in self.kind.axes)]
        for parent in self.parents:
            if parent.matches(where) and self._wanted(parent.coordinates):
                encoder = {key: parent.coordinates[key] for key in telling if key in parent.coordinates}
                yield from self._multiplied(encoder, parent.origins["encoder.depth"].path[:-1], {"from": parent})

    def _wanted(self, coordinates: Mapping[str, Any]) -> bool:
        return not self.stage.encoders or any(matches(coordinates, selector) for selector in self.stage.encoders)

    def _multiplied(self, encoder: Mapping[str, Any], path: Path, needs: Mapping[str, Step]) -> Iterator[Step]:
        """The product of labels, layers and seeds."""
        amounts: Iterable[tuple[str, Any] | None] = self._labels if LABELS[0] in self.kind.axes else [None]
        for amount in amounts:
            for layer in self._from_layers or (None,):
                for seeds in self._seeds(next(iter(needs.values()), None)):
                    axes = {**encoder, **seeds}
                    if amount is not None:
                        axes[amount[0]] = amount[1]
                    if layer is not None:
                        axes["from_layer"] = layer
                    yield self._step(axes, path, needs)

    def _seeds(self, parent: Step | None) -> Iterator[dict[str, Any]]:
        """Own seeds times the parent's chain, or the parent's alone; for a kind without seed the chain."""
        before = {} if parent is None else _chain(parent)
        inherited = None if parent is None else parent.coordinates.get("seed")
        chain = before if parent is None or inherited is None else {**before, f"{parent.stage}_seed": inherited}
        if "seed" not in self.kind.axes:
            yield chain
        elif inherited is not None and not self.stage.seeds:
            yield {"seed": inherited, **before}
        else:
            for seed in self.stage.seeds or self.spec.seeds:
                yield {"seed": seed, **chain}

    def _taught(self) -> Iterator[Step]:
        """One Step per student and teacher; what the teacher's table does not fix is the student's."""
        assert self.stage.parent is not None
        where = self.stage.parent.where
        shared = [key for key in ENCODER if key not in where]
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
                labels = {name: teacher.coordinates[name] for name in LABELS if name in teacher.coordinates}
                taught = {**student, **labels, **_of_teacher(teacher, student)}
                yield from self._multiplied(taught, path, {"teacher": teacher})

    def _no_teacher(self, reference: Reference, wanted: Mapping[str, Any]) -> Fault:
        keys = [key for key in wanted if key in KEYS]
        near = [key for key in keys if not any(matches(step.coordinates, {key: wanted[key]}) for step in self.parents)]
        at = next((key for key in near or keys if key in reference.where), None)
        have = ""
        if near:
            known = dict.fromkeys(step.coordinates.get(near[0], "none") for step in self.parents)
            have = f"; its {near[0]} is {', '.join(map(typed, known))}"
        sentence = f"no Step of {reference.stage!r} has {as_selector(wanted)}{have}"
        return self.spec.document.fault((*reference.path, at) if at else reference.path, sentence)

    def _step(self, axes: Mapping[str, Any], path: Path, needs: Mapping[str, Step]) -> Step:
        stage = self.stage
        given = {"stage": stage.name, "kind": stage.kind, "dataset": self.axes.dataset, **axes}
        values, resolved = self.resolver.values(stage, given)
        coordinates = {**given, **resolved}
        settings = self.axes.settings(values, axes, path, needs)
        params = _filled(values, settings)
        self._check(values, settings, params, coordinates)
        identity = self.kind.identity(params)
        fingerprints = {role: parent.fingerprint for role, parent in needs.items()}
        return Step(
            stages=(stage.name,),
            kind=stage.kind,
            label=label(identity),
            fingerprint=fingerprint(stage.kind, identity, fingerprints),
            needs=fingerprints,
            coordinates=coordinates,
            params=params,
            shared=values.settings,
            own=settings,
        )

    def _check(
        self, values: Values, settings: Mapping[str, Setting], params: Mapping[str, Any], coordinates: Mapping[str, Any]
    ) -> None:
        """Contradictions between values; a combination without any is looked at once."""
        key = (values, *(coordinates.get(name) for name in (*LABELS, "from_layer", "head_layers")))
        if key not in self._agreeing:
            faults = list(checks.contradictions(self.stage, self.kind.build(params), {**values.settings, **settings}))
            for fault in faults:
                self.axes.note(fault)
            if not faults:
                self._agreeing.add(key)


def _chain(parent: Step) -> dict[str, Any]:
    """Seeds of a parent's parents, by stage."""
    return {key: value for key, value in parent.coordinates.items() if key.endswith("_seed")}


def _of_teacher(teacher: Step, student: Mapping[str, Any]) -> dict[str, Any]:
    """Coordinates that a student has of its teacher: the encoder, and the head that was fine-tuned, perhaps above it."""
    known = {key if key.startswith("teacher_") else f"teacher_{key}": value for key, value in teacher.coordinates.items()}
    heads = ("teacher_from_layer", "teacher_head_layers", "teacher_head_width")
    return {
        **{f"teacher_{name}": teacher.coordinates[name] for name in student},
        **{name: known[name] for name in heads if name in known},
        "self_distillation": all(teacher.coordinates[name] == value for name, value in student.items()),
    }


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
