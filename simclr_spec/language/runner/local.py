"""The runners of this machine: its slots, or this very process."""

# No `from __future__ import annotations`: see core/fields.py.
from dataclasses import dataclass
from typing import Literal

from simclr_spec.core.fields import NOT_EMPTY, POSITIVE, described
from simclr_spec.language.coordinates import Coordinates
from simclr_spec.language.runner.common import Common, Retries, Rule, ruled, rules, said

_COUNT = {"type": "integer", "minimum": 1}
_GPU = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", **NOT_EMPTY}]}
_GPUS = {"type": "array", "items": _GPU, "minItems": 1, "uniqueItems": True}


@dataclass(frozen=True, kw_only=True)
class Share:
    """What a Step gets of this machine."""

    processes: int = described("processes of a Step, each in a slot of its own", default=1, minimum=1, maximum=1024)


@dataclass(frozen=True, kw_only=True)
class Local(Common):
    """This machine: one process in each slot."""

    kind: Literal["local"] = described("this machine", default="local")
    slots: Literal["auto"] | int | tuple[int | str, ...] = described(
        "auto: every visible GPU, else every CPU core; or a number of them; or a list of GPU ids",
        {"anyOf": [{"enum": ["auto"]}, _COUNT, _GPUS]},
        default="auto",
    )
    timeout_minutes: float | None = described(
        "longest time of one Step, none for no limit",
        {"anyOf": [{"enum": ["none"]}, {"type": "number", **POSITIVE}, {"type": "null"}]},
        default=None,
    )
    resources: Share = described("what every Step gets", default=Share())
    rules: tuple[Rule, ...] = described("what Steps of some coordinates get instead", rules(Share), default=())
    retries: Retries = described("how often a Step begins again by itself", default=Retries())

    def share(self, coordinates: Coordinates) -> Share:
        """What a Step of these coordinates gets."""
        return ruled(self.resources, self.rules, coordinates)

    def devices(self, coordinates: Coordinates) -> int:
        """A slot for each process."""
        return self.share(coordinates).processes

    def devices_said(self, coordinates: Coordinates) -> str:
        return said(self.rules, coordinates, "processes")


@dataclass(frozen=True, kw_only=True)
class Debug(Common):
    """In this process, one Step after another."""

    kind: Literal["debug"] = described("in this process, one after another", default="debug")
