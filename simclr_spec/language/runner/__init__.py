"""The runner language: where Steps run. A runner is never part of a Step's identity.

`kind` chooses the way: `local` (this machine, a process per slot), `slurm` (a cluster) or `debug` (in this process, one after
another: for pdb and tests).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from simclr_spec.core import fields
from simclr_spec.core.errors import SpecError
from simclr_spec.core.fields import DRAFT, TEXT, build
from simclr_spec.language.document import load, referred
from simclr_spec.language.runner import slurm
from simclr_spec.language.runner.common import Common, Retries, Rule, applied
from simclr_spec.language.runner.local import Debug, Local
from simclr_spec.language.runner.slurm import Request, Slurm

__all__ = ["RUNNERS", "Common", "Debug", "Local", "Request", "Retries", "Rule", "Runner", "Slurm", "applied", "read", "schema"]

Runner = Local | Slurm | Debug
RUNNERS: dict[str, type[Local] | type[Slurm] | type[Debug]] = {"local": Local, "slurm": Slurm, "debug": Debug}


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
    if isinstance(runner, Slurm) and (found := list(slurm.faults(document, runner))):
        raise SpecError(found)
    return runner
