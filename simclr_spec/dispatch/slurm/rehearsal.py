"""What a run would submit, shown without Slurm: the arrays, what they wait for, and the script of each."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence

from simclr_spec.core.words import counted
from simclr_spec.dispatch.slurm.arrays import Array, Wanted, arrays
from simclr_spec.dispatch.slurm.dispatcher import sentence
from simclr_spec.dispatch.slurm.submission import ARGUMENTS, Submission
from simclr_spec.language.runner import Slurm
from simclr_spec.plan import Step
from simclr_spec.store.layout import Store

LARGEST = 1001
"""MaxArraySize where nobody has set it."""


def rehearse(steps: Sequence[Step], store: Store, runner: Slurm) -> list[str]:
    """Lines; in place of jobs' ids A1, A2, ... What runs already in the store, and what it would be linked to, is left out."""
    found = arrays(list(_wanted(steps, runner)), LARGEST)
    names = {array: f"A{number}" for number, array in enumerate(found, 1)}
    lines = [f"{counted(len(found), 'array')} of jobs:"] if found else []
    after = {array: [dependency.text(names.__getitem__) for dependency in array.after] for array in found}
    lines += [sentence(array, name, after[array]) for array, name in names.items()]
    for array, name in names.items():
        script = _script(array, name, after[array], store, runner).splitlines()
        lines += ["", f"{name}, as `sbatch {shlex.join(ARGUMENTS)}` gets it:", *(f"  {line}" for line in script)]
    return lines


def _wanted(steps: Sequence[Step], runner: Slurm) -> Iterator[Wanted]:
    among = {step.fingerprint for step in steps}
    for step in steps:
        yield Wanted(
            fingerprint=step.fingerprint,
            kind=step.kind,
            request=runner.request(step.coordinates),
            parents=tuple(parent for parent in step.needs.values() if parent in among),
        )


def _script(array: Array, name: str, after: Sequence[str], store: Store, runner: Slurm) -> str:
    folder = store.array(f"{array.kind}-{name}").path
    return Submission(
        name=folder.name,
        folder=folder,
        indices=array.indices,
        request=array.request,
        runner=runner,
        after=after,
        python=runner.python or shlex.quote(sys.executable),
    ).text()
