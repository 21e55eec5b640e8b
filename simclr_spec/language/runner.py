"""The runner language: where Steps run. A runner is never part of a Step's identity.

`kind` chooses the way: `local` (this machine, one Step per slot) or `debug` (in this process, one after
another: for pdb and tests).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

from simclr_spec.language.document import load, referred

NUMBER = {"type": "number", "minimum": 0, "exclusiveMinimum": True}
COUNT = {"type": "integer", "minimum": 1}
GPU = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "minLength": 1}]}


def _f(default: Any, doc: str, schema: dict[str, Any]) -> Any:
    return field(default=default, metadata={"schema": {**schema, "description": doc}})


@dataclass(frozen=True, kw_only=True)
class Common:
    """What every kind of runner has."""

    threads: int = _f(1, "threads of each process", COUNT)
    deterministic: bool = _f(
        False, "the same bits every time on GPUs, too, at some cost of speed; CPUs give them anyway", {"type": "boolean"}
    )
    machine: str | None = _f(
        None, "machine on which costs are told; the scale's unless written", {"type": "string", "minLength": 1}
    )
    checkpoint_seconds: float = _f(5.0, "seconds between checkpoints", NUMBER)


@dataclass(frozen=True, kw_only=True)
class Local(Common):
    """This machine: one Step at a time in each slot."""

    kind: Literal["local"] = _f("local", "this machine", {"enum": ["local"]})
    slots: Literal["auto"] | int | tuple[int | str, ...] = _f(
        "auto",
        "auto: every visible GPU, else every CPU core; or a number of them; or a list of GPU ids",
        {"anyOf": [{"enum": ["auto"]}, COUNT, {"type": "array", "items": GPU, "minItems": 1, "uniqueItems": True}]},
    )
    timeout_minutes: float | None = _f(
        None, "longest time of one Step, none for no limit", {"anyOf": [{"enum": ["none"]}, NUMBER, {"type": "null"}]}
    )


@dataclass(frozen=True, kw_only=True)
class Debug(Common):
    """In this process, one Step after another."""

    kind: Literal["debug"] = _f("debug", "in this process, one after another", {"enum": ["debug"]})


Runner = Local | Debug
KINDS: dict[str, type[Local] | type[Debug]] = {"local": Local, "debug": Debug}


def schema() -> dict[str, Any]:
    """JSON Schema (Draft 4 vocabulary) of a runner file."""
    branches = []
    for kind in KINDS.values():
        properties = {"$schema": {"type": "string"}, **{f.name: f.metadata["schema"] for f in fields(kind)}}
        branches.append(
            {
                "type": "object",
                "description": kind.__doc__,
                "properties": properties,
                "required": ["kind"],
                "additionalProperties": False,
            }
        )
    return {"$schema": "http://json-schema.org/draft-04/schema#", "title": "simclr-spec runner", "anyOf": branches}


def read(name: str) -> Runner:
    """The declared runner `name`, or the file at that path. Raises SpecError with every fault."""
    document = load("runner", name, schema)
    values = {key: value for key, value in document.data.items() if key != "$schema"}
    plain: dict[str, Any] = {
        key: None if value == "none" else tuple(value) if isinstance(value, list) else value for key, value in values.items()
    }
    return KINDS[values["kind"]](**{**plain, "machine": referred(document, "machine")})
