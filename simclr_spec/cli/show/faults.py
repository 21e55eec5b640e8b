"""All declared files, or given ones, looked through for faults."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simclr_spec.core.errors import Fault, SpecError, UsageError
from simclr_spec.core.words import counted
from simclr_spec.language import declared, runner
from simclr_spec.language.dataset import read_dataset
from simclr_spec.language.declared import FileKind
from simclr_spec.language.document import parse
from simclr_spec.language.document.kinds import kind_of
from simclr_spec.language.document.validator import validator
from simclr_spec.language.machine import read_machine
from simclr_spec.language.overlay import read_overlay
from simclr_spec.language.schemas import SCHEMAS
from simclr_spec.language.weights import read_weights
from simclr_spec.plan import compile


def look_through(names: Sequence[str], scale: str | None, sets: Sequence[str]) -> Iterator[str]:
    """One line per file without fault. Raises SpecError with the faults of all."""
    faults: list[Fault] = []
    for name in names:
        try:
            kind = _kind(name)
            if kind == "spec":
                yield f"{name}: {counted(len(compile([name], scale=scale, sets=sets).steps), 'Step')}, no faults"
            elif scale or sets:
                raise UsageError(f"{name} is a {kind}: --scale and --set change specs")
            else:
                _read(kind, name)
                yield f"{name}: a {kind}, no faults"
        except SpecError as error:
            faults += error.faults
    if faults:
        raise SpecError(faults)


def look_through_all() -> Iterator[str]:
    """Every declared file: against its schema, and specs compiled too."""
    faults: list[Fault] = []
    for kind in declared.FOLDERS:
        for name in declared.names(kind):
            try:
                _read(kind, name)
            except SpecError as error:
                faults += error.faults
            else:
                yield f"{kind} {name}: no faults"
    if faults:
        raise SpecError(faults)


def _kind(name: str) -> FileKind:
    """What a file is, told by its keys; a declared name is a spec's, or else a report's. What extends nothing and is no valid
    recipe is a scale."""
    if not declared.is_path(name):
        return "report" if name in {*declared.names("report")} - {*declared.names("spec")} else "spec"
    data = parse(declared.read("spec", name)).data
    kind = kind_of(data) or "spec"
    is_recipe = kind == "scale" and ("extends" in data or validator(SCHEMAS["recipe"]).is_valid(data))
    return "recipe" if is_recipe else kind


def _read(kind: FileKind, name: str) -> None:
    if kind == "spec":
        compile([name])
    elif kind in ("recipe", "scale"):
        read_overlay(kind, name, None)
    elif kind == "dataset":
        read_dataset(name, None)
    elif kind == "runner":
        runner.read(name)
    elif kind == "machine":
        read_machine(name)
    elif kind == "weights":
        from simclr_spec.report.published import papers

        papers(read_weights(name))
    else:
        from simclr_spec.report.select import validate

        validate(name)
