"""Step and Plan: what `compile` makes and every command reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from simclr_spec.core.errors import UsageError
from simclr_spec.language.coordinates import Selector, matches
from simclr_spec.language.settings import Setting
from simclr_spec.plan.fingerprint import digest


@dataclass(frozen=True, eq=False)
class Step:
    """One training: a node of the Plan. Equal fingerprints mean equal results."""

    stages: tuple[str, ...]
    """names of the stages that ask for it, over all specs"""
    kind: str
    label: str
    fingerprint: str
    needs: Mapping[str, str]
    """role -> fingerprint of the parent"""
    coordinates: Mapping[str, Any]
    """stage, kind, dataset, depth, width, sk, seed and what else tells the Step from its siblings"""
    params: Mapping[str, Any]
    """nested plain values of params.KINDS[kind]"""
    shared: Mapping[str, Setting]
    """values with their origins that Steps of the stage have in common"""
    own: Mapping[str, Setting]
    """values of its axes and of its parent, instead of the shared ones"""
    also: tuple[Mapping[str, Any], ...] = ()
    """coordinates under which other stages ask for the same Step"""

    @cached_property
    def origins(self) -> Mapping[str, Setting]:
        """Dotted name -> value with its origin."""
        return {**self.shared, **self.own}

    @property
    def stage(self) -> str:
        return self.stages[0]

    @property
    def id(self) -> str:
        """The run folder, relative to the store: `pretrain/r18-1x-digits-s0-1a2b3c4d`."""
        return f"{self.kind}/{self.label}-{self.fingerprint[:8]}"

    def matches(self, selector: Mapping[str, Any]) -> bool:
        return matches(self.coordinates, selector) or any(matches(other, selector) for other in self.also)


def label(params: Mapping[str, Any]) -> str:
    """`r50-2x-sk-imagenet-1pct-s0`: a pure function of the Step, safe as a path component."""
    encoder, labels = params["encoder"], params.get("labels")
    parts = [f"r{encoder['depth']}", f"{encoder['width']}x"] + (["sk"] if encoder["sk"] else [])
    parts.append(_safe(params["dataset"]["name"]))
    if labels is not None:
        parts.append(f"{100 * labels['fraction']:.6g}pct" if labels["per_class"] is None else f"{labels['per_class']}pc")
    return "-".join([*parts, f"s{params['seed']}"])


@cache
def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.]+", "_", name).strip(".")[-40:]


@dataclass(frozen=True, eq=False)
class Plan:
    """Steps in topological order, each once; `specs`, `asked_scale` and `sets` are what `compile` was told."""

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

    @property
    def arguments(self) -> str:
        """What one types behind a command to have this plan again."""
        from shlex import join

        scale = ["--scale", self.asked_scale] if self.asked_scale else []
        return join([*self.specs, *scale, *(word for one in self.sets for word in ("--set", one))])

    @property
    def machine(self) -> str:
        """On which costs are told unless another is asked for; UsageError where the scales name several."""
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
        found: dict[str, list[str]] = {step.fingerprint: [] for step in self.steps}
        for step in self.steps:
            for parent in step.needs.values():
                found[parent].append(step.fingerprint)
        return {key: tuple(value) for key, value in found.items()}

    @cached_property
    def digest(self) -> str:
        """Of the whole set of Steps."""
        return digest(sorted(step.fingerprint for step in self.steps))

    def ancestors(self, fingerprints: Iterable[str]) -> set[str]:
        """The given Steps and everything they need."""
        return _reached(fingerprints, lambda one: self.by_fingerprint[one].needs.values())

    def descendants(self, fingerprints: Iterable[str]) -> set[str]:
        """The given Steps and everything that needs them."""
        return _reached(fingerprints, lambda one: self.children[one])

    def select(self, selector: Selector | None, states: Mapping[str, str] | None = None) -> tuple[Step, ...]:
        """Steps that match, in order; all without a selector. `states` (by fingerprint) is needed for state=...

        Raises UsageError when none matches."""
        if selector is None:
            return self.steps
        table = {key: value for key, value in selector.table.items() if key != "state"}
        chosen = {step.fingerprint for step in self.steps if step.matches(table)}
        if "state" in selector.table:
            chosen = {one for one in chosen if matches({"state": (states or {}).get(one)}, {"state": selector.table["state"]})}
        if not chosen:
            from simclr_spec.language.coordinates import near_miss, show

            hint = near_miss(table, [where for step in self.steps for where in (step.coordinates, *step.also)])
            hint = hint or "; `simclr-spec plan --steps` shows their coordinates"
            raise UsageError(f"no Step of this plan has {show(selector.table)}{hint}")
        found = set(chosen)
        if selector.ancestors:
            found |= self.ancestors(chosen)
        if selector.descendants:
            found |= self.descendants(chosen)
        return tuple(step for step in self.steps if step.fingerprint in found)


def _reached(start: Iterable[str], following: Callable[[str], Iterable[str]]) -> set[str]:
    """`start` and all that follows from it."""
    found: set[str] = set()
    todo = list(start)
    while todo:
        one = todo.pop()
        if one not in found:
            found.add(one)
            todo.extend(following(one))
    return found
