"""All declared files, or given specs, looked through for faults."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simclr_spec import library, runner
from simclr_spec.document import load
from simclr_spec.errors import Fault, SpecError
from simclr_spec.plan import compile
from simclr_spec.schemas import SCHEMAS
from simclr_spec.spec.settings import read_layer


def check_specs(names: Sequence[str], scale: str | None, sets: Sequence[str]) -> Iterator[str]:
    """One line per spec without fault. Raises SpecError with the faults of all."""
    faults: list[Fault] = []
    for name in names:
        try:
            plan = compile([name], scale=scale, sets=sets)
        except SpecError as error:
            faults += error.faults
        else:
            yield f"{name}: {len(plan.steps)} Steps, no faults"
    if faults:
        raise SpecError(faults)


def check_all() -> Iterator[str]:
    """Every declared file: against its schema, and specs compiled too."""
    faults: list[Fault] = []
    for kind in library.FOLDERS:
        for name in library.names(kind):
            try:
                load(kind, name, SCHEMAS[kind])
                if kind == "spec":
                    compile([name])
                if kind in ("recipe", "scale"):
                    read_layer(kind, name, None)
                if kind == "runner":
                    runner.read(name)
                if kind == "report":
                    from simclr_spec.report.cells import check

                    check(name)
            except SpecError as error:
                faults += error.faults
            else:
                yield f"{kind} {name}: no faults"
    if faults:
        raise SpecError(faults)
