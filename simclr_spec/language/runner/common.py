"""What every kind of runner has, and rules: what Steps of some coordinates get instead."""

# No `from __future__ import annotations`: see core/fields.py.
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from simclr_spec.core.fields import NOT_EMPTY, POSITIVE, Schema, described, properties, table
from simclr_spec.language.coordinates import Coordinates, as_selector, matches, selector_schema

R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class Retries:
    """How often a Step begins again by itself after each kind of end; from its newest checkpoint, always.

    Never after a loss that is not finite, nor after memory that ran out: both would come again.
    """

    killed: int = described("its process was killed without a word", default=0, minimum=0, maximum=1000)
    error: int = described("it raised an error", default=0, minimum=0, maximum=1000)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What Steps whose coordinates match get."""

    when: dict[str, Any] = described("coordinates")
    set: dict[str, Any] = described("values instead of those of every Step; the last rule that matches wins")


@dataclass(frozen=True, kw_only=True)
class Common:
    """What every kind of runner has."""

    threads: int = described("threads of each process", default=1, minimum=1)
    deterministic: bool = described(
        "the same bits every time on GPUs, too, at some cost of speed; CPUs give them anyway", default=False
    )
    recompute: bool = described(
        "compute activations again in the backward pass: less memory, about a third more time", default=False
    )
    machine: str | None = described(
        "machine for which costs are estimated; the scale's unless written", NOT_EMPTY, default=None
    )
    checkpoint_seconds: float = described("seconds between checkpoints", POSITIVE, default=5.0)
    max_gpu_hours: float | None = described(
        "budget: a plan that costs more is refused; --max-gpu-hours on the command line wins", POSITIVE, default=None
    )

    def devices(self, coordinates: Coordinates) -> int:  # noqa: ARG002
        """On how many GPUs, or cores, a Step of these coordinates runs."""
        return 1

    def nodes(self, coordinates: Coordinates) -> int:  # noqa: ARG002
        """Over how many computers these are spread equally."""
        return 1

    def node_gib(self, coordinates: Coordinates) -> float | None:  # noqa: ARG002
        """Memory that a Step gets of each of them, where it is not that of this computer; infinite where nobody says."""
        return None

    def devices_said(self, coordinates: Coordinates) -> str:  # noqa: ARG002
        """Where in the file their number is said: `[resources]`, `the rule for stage=pretrain`."""
        return ""


def rules(resources: type[Any]) -> Schema:
    """JSON Schema of what `[[rules]]` may say: `when` coordinates, and `set` any of the resources."""
    when = {**selector_schema(), "minProperties": 1}
    some = {**table(properties(resources)), "minProperties": 1}
    return {"type": "array", "items": table({"when": when, "set": some}, ["when", "set"]), "maxItems": 200}


def ruled(resources: R, rules: tuple[Rule, ...], coordinates: Coordinates) -> R:
    """The resources of a Step: those of every Step, and what the rules set instead."""
    return applied(resources, *(rule for rule in rules if matches(coordinates, rule.when)))


def said(rules: tuple[Rule, ...], coordinates: Coordinates, *keys: str) -> str:
    """Where the last word on any of these resources is."""
    saying = [rule for rule in rules if matches(coordinates, rule.when) and rule.set.keys() & {*keys}]
    return f"the rule for {as_selector(saying[-1].when)}" if saying else "[resources]"


def applied(resources: R, *rules: Rule) -> R:
    """With what these rules set, whatever their conditions."""
    values: dict[str, Any] = {}
    for rule in rules:
        values |= rule.set
    return replace(resources, **_nones(values))  # type: ignore[type-var]


def _nones(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: None if value == "none" else value for key, value in values.items()}
