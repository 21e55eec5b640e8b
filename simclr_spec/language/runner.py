"""The runner language: where Steps run. A runner is never part of a Step's identity.

`kind` chooses the way: `local` (this machine, one Step per slot) or `debug` (in this process, one after
another: for pdb and tests).
"""

# No `from __future__ import annotations`: see core/fields.py.
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from simclr_spec.core import fields
from simclr_spec.core.fields import DRAFT, NOT_EMPTY, POSITIVE, TEXT, build, described
from simclr_spec.language.document import load, referred

_COUNT = {"type": "integer", "minimum": 1}
_GPU = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", **NOT_EMPTY}]}
_GPUS = {"type": "array", "items": _GPU, "minItems": 1, "uniqueItems": True}


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


@dataclass(frozen=True, kw_only=True)
class Local(Common):
    """This machine: one Step at a time in each slot."""

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


@dataclass(frozen=True, kw_only=True)
class Debug(Common):
    """In this process, one Step after another."""

    kind: Literal["debug"] = described("in this process, one after another", default="debug")


Runner = Local | Debug
RUNNERS: dict[str, type[Local] | type[Debug]] = {"local": Local, "debug": Debug}


@cache
def schema() -> dict[str, Any]:
    """Which kind is meant must be written."""
    kinds = [
        fields.table({"$schema": TEXT, **fields.properties(kind)}, ["kind"], kind.__doc__ or "") for kind in RUNNERS.values()
    ]
    return {"$schema": DRAFT, "title": "A runner of simclr-spec", "anyOf": kinds}


def read(name: str) -> Runner:
    """The declared runner `name`, or the file at that path. Raises SpecError with every fault."""
    document = load("runner", name, schema)
    runner: Runner = build(RUNNERS[document.data["kind"]], document.content | {"machine": referred(document, "machine")})
    return runner
