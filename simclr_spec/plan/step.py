"""Step and Plan: what `compile` makes and every command reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain
from typing import Any

from simclr_spec.core.errors import UsageError
from simclr_spec.core.words import counted
from simclr_spec.language.coordinates import Selector, as_selector, matches, near_miss
from simclr_spec.language.setting import Setting
from simclr_spec.plan.fingerprint import digest
from simclr_spec.stages.kinds import KINDS


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Step:
    """One node of the Plan: a training, or whatever else its kind does. Equal fingerprints mean equal results."""

    stages: tuple[str, ...]
    """names of the stages that ask for it, over all specs"""
    kind: str
    label: str
    fingerprint: str
    needs: Mapping[str, str]
    """role -> fingerprint of the parent"""
    coordinates: Mapping[str, Any]
    """stage, kind, dataset, depth, width, sk, the seed if it has one, and what else tells the Step from its siblings"""
    params: Mapping[str, Any]
    """nested plain values of its kind's parameters"""
    shared: Mapping[str, Setting]
    """values with their origins that Steps of the stage have in common"""
    own: Mapping[str, Setting]
    """values of its axes and of its parent, instead of the shared ones"""
    also: tuple[Mapping[str, Any], ...] = ()
    """coordinates under which other stages ask for the same Step"""

    def __repr__(self) -> str:
        return f"<Step {self.id}>"

    @cached_property
    def origins(self) -> Mapping[str, Setting]:
        """Dotted name -> value with its origin."""
        return {**self.shared, **self.own}

    @cached_property
    def config(self) -> Any:
        """`params` as its kind's parameters."""
        return KINDS[self.kind].build(self.params)

    @property
    def stage(self) -> str:
        return self.stages[0]

    @property
    def id(self) -> str:
        """The run folder, relative to the store: `pretrain/r18-1x-digits-s0-1a2b3c4d`."""
        return f"{self.kind}/{self.label}-{self.fingerprint[:8]}"

    def written(self, folders: Mapping[str, str]) -> dict[str, Any]:
        """The value of its step.json; `folders`: fingerprint -> run folder of its parents."""
        return {
            "fingerprint": self.fingerprint,
            "kind": self.kind,
            "label": self.label,
            "params": self.params,
            "needs": {role: {"fingerprint": parent, "folder": folders[parent]} for role, parent in self.needs.items()},
            "coordinates": dict(self.coordinates),
        }

    def matches(self, selector: Mapping[str, Any]) -> bool:
        """Under any of its names; `fingerprint` is what ends its label in the store."""
        names = [self.coordinates, *self.also]
        return any(matches({**name, "fingerprint": self.fingerprint[:8]}, selector) for name in names)


def label(params: Mapping[str, Any]) -> str:
    """`r50-2x-sk-imagenet-1pct-s0`: a pure function of what is in the fingerprint, safe as a path component."""
    encoder, labels = params["encoder"], params.get("labels")
    parts = [f"r{encoder['depth']}", f"{encoder['width']}x"] + (["sk"] if encoder["sk"] else [])
    if "dataset" in params:
        parts.append(_safe(params["dataset"]["name"]))
    if labels is not None:
        parts.append(f"{100 * labels['fraction']:.6g}pct" if labels["per_class"] is None else f"{labels['per_class']}pc")
    if "seed" in params:
        parts.append(f"s{params['seed']}")
    return "-".join(parts)


@cache
def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.]+", "_", name).strip(".")[-40:]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Plan:
    """Steps in topological order, each once; `specs`, `asked_scale` and `sets` are what `compile` was given."""

    steps: tuple[Step, ...]
    specs: tuple[str, ...]
    titles: tuple[str, ...]
    asked_scale: str | None
    """None = each spec's own"""
    scale: str | None
    """the name of the scale that was used, None where it was none; of several, all: `digits + paper`"""
    scale_title: str | None
    machines: tuple[str, ...]
    """that the scales name"""
    sets: tuple[str, ...]
    asked: int
    """Steps before equal ones were merged"""
    may_rehearse: bool = True
    """whether a scale may bring other images (see `Resolver.may_rehearse`)"""

    def __repr__(self) -> str:
        return f"<Plan of {self.arguments}: {counted(len(self.steps), 'Step')}>"

    @property
    def arguments(self) -> str:
        """What one types behind a command to have this plan again."""
        from shlex import join

        scale = ["--scale", self.asked_scale] if self.asked_scale else []
        weights = "weights="  # as --weights is remembered
        sets = (
            ("--weights", text.removeprefix(weights)) if text.startswith(weights) else ("--set", text) for text in self.sets
        )
        return join([*self.specs, *scale, *chain.from_iterable(sets)])

    @property
    def machine(self) -> str:
        """For which costs are estimated unless another is asked for; UsageError where the scales name several."""
        if len(self.machines) > 1:
            raise UsageError(
                f"the scales of {' and '.join(self.specs)} name different machines ({', '.join(self.machines)}): "
                "say for which one costs are estimated, with --machine on plan, or a runner that names a `machine` on run"
            )
        return self.machines[0]

    @cached_property
    def by_fingerprint(self) -> Mapping[str, Step]:
        return {step.fingerprint: step for step in self.steps}

    @cached_property
    def children(self) -> Mapping[str, tuple[str, ...]]:
        """Fingerprint -> fingerprints of the Steps that need it."""
        children: dict[str, list[str]] = {step.fingerprint: [] for step in self.steps}
        for step in self.steps:
            for parent in step.needs.values():
                children[parent].append(step.fingerprint)
        return {key: tuple(value) for key, value in children.items()}

    @cached_property
    def digest(self) -> str:
        """Of the whole set of Steps."""
        return digest(sorted(step.fingerprint for step in self.steps))

    def ancestors(self, fingerprints: Iterable[str]) -> set[str]:
        """The given Steps and everything they need."""
        return reached(fingerprints, lambda key: self.by_fingerprint[key].needs.values())

    def descendants(self, fingerprints: Iterable[str]) -> set[str]:
        """The given Steps and everything that needs them."""
        return reached(fingerprints, lambda key: self.children[key])

    def select(self, selector: Selector | None, states: Mapping[str, str] | None = None) -> tuple[Step, ...]:
        """Steps that match, in order; all without a selector. `states` (by fingerprint) is needed for state=...

        Raises UsageError when none matches."""
        if selector is None:
            return self.steps
        table = {key: value for key, value in selector.table.items() if key != "state"}
        chosen = {step.fingerprint for step in self.steps if step.matches(table)}
        if "state" in selector.table:
            chosen = {key for key in chosen if matches({"state": (states or {}).get(key)}, {"state": selector.table["state"]})}
        if not chosen:
            hint = near_miss(table, [where for step in self.steps for where in (step.coordinates, *step.also)])
            hint = hint or "; `simclr-spec plan --steps` shows their coordinates"
            raise UsageError(f"no Step of this plan has {as_selector(selector.table)}{hint}")
        wanted = set(chosen)
        if selector.ancestors:
            wanted |= self.ancestors(chosen)
        if selector.descendants:
            wanted |= self.descendants(chosen)
        return tuple(step for step in self.steps if step.fingerprint in wanted)


def reached(start: Iterable[str], following: Callable[[str], Iterable[str]]) -> set[str]:
    """`start` and all that follows from it."""
    reached: set[str] = set()
    todo = list(start)
    while todo:
        key = todo.pop()
        if key not in reached:
            reached.add(key)
            todo.extend(following(key))
    return reached
