"""Arrays into Slurm's hands, as many as it takes: intent before, receipt after, and held until all are there."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from simclr_spec.core.code import code_version
from simclr_spec.dispatch.slurm import commands, ledger, rest
from simclr_spec.dispatch.slurm.arrays import Array, Place, Wanted, arrays
from simclr_spec.dispatch.slurm.commands import Full, NoAnswer
from simclr_spec.dispatch.slurm.submission import Submission
from simclr_spec.dispatch.task import Task
from simclr_spec.language.runner import Slurm
from simclr_spec.store.arrays import ArrayFolder
from simclr_spec.store.layout import Store


@dataclass(kw_only=True)
class Submitter:
    """What it has submitted, it knows by array and by Step."""

    runner: Slurm
    store: Store
    variables: Mapping[str, str]
    jobs: dict[Array, str] = field(default_factory=dict)
    """ids, in order of submission"""
    places: dict[str, Place] = field(default_factory=dict)
    """by fingerprint"""
    full: str = ""
    """what Slurm said when it took no more"""
    _held: list[tuple[str, ArrayFolder]] = field(default_factory=list)

    def take(self, wanted: Sequence[Wanted], largest: int) -> None:
        """As many as there is room for. `wanted` are chains; refused for their number, arrays become smaller, down to one."""
        left, most = list(wanted), len(wanted)
        while batch := left[:most]:
            refused = next((array for array in arrays(batch, largest, self.places) if not self._array(array)), None)
            left = [step for step in left if step.fingerprint not in self.places]
            if refused:
                most = len(refused.elements) // 2

    def _array(self, array: Array) -> bool:
        """False where it is refused."""
        tasks: dict[int, Task] = {index: step.item for index, step in array.elements.items()}
        request = array.request
        folder = ledger.write_intent(
            self.store,
            array.kind,
            {index: task.step.id for index, task in tasks.items()},
            self.runner,
            variables=self.variables,
            processes=request.nodes * request.processes,
            cpus=request.cpus_per_process or self.runner.threads,
            minutes=request.minutes,
            code=code_version(),
        )
        submission = Submission(
            name=folder.name,
            folder=folder.path,
            indices=array.indices,
            request=request,
            runner=self.runner,
            after=self.after(array),
            exclude=ledger.bad_nodes(self.store, self.runner),
            python=self.runner.python or shlex.quote(sys.executable),
        )
        if job := self._job(submission, folder):
            for index, task in tasks.items():
                ledger.queue(task.folder, folder, job, index)
            ledger.sign(folder, job)
            self.jobs[array] = job
            self.places |= array.places
        return bool(job)

    def after(self, array: Array) -> list[str]:
        """What an array waits for, in sbatch's words."""
        return [dependency.text(self.jobs.__getitem__) for dependency in array.after]

    def _job(self, submission: Submission, folder: ArrayFolder) -> str:
        """Its id, also where sbatch fails although the job was accepted; empty where there is no room for it."""
        folder.script.write_text(submission.text(), encoding="utf-8")
        try:
            job = submission.submit()
        except NoAnswer as error:
            job = _found(submission.name)
            if not job and isinstance(error, Full):
                self.full = str(error)
                shutil.rmtree(folder.path)
                return ""
            if not job:
                raise NoAnswer(
                    f"{error}; {'what was queued before stays so' if self.jobs else 'nothing was submitted'}"
                ) from None
        self._held.append((job, folder))
        return job

    def submit_rest(self, command: Sequence[str], asked: float) -> str:
        """The id of a job that submits the rest once half of the Steps have left; for it a Step may have to be withdrawn."""
        while self.jobs:
            submission = rest.prepared(self.store, self.runner, command, self._after_half(), asked)
            folder = ArrayFolder(submission.folder)
            try:
                job = self._job(submission, folder)
            except NoAnswer as error:  # a partition for jobs with GPUs only, as one of many
                self.full = str(error)
                break
            if job:
                ledger.sign(folder, job)
                return job
            if len(self.places) == 1 or "temporarily" in self.full:  # a full cluster counts what was cancelled, too
                break
            self._withdraw()
        return ""

    def _after_half(self) -> list[str]:
        """Of arrays in their order: parents come first."""
        found, steps = [], 0
        for array, job in self.jobs.items():
            found.append(f"afterany:{job}")
            steps += len(array.elements)
            if 2 * steps >= len(self.places):
                break
        return found

    def _withdraw(self) -> None:
        """The last Step, for which no other waits."""
        array, job = [*self.jobs.items()][-1]
        index = max(array.elements)
        commands.cancel([f"{job}_{index}"])
        step = array.elements.pop(index)
        step.item.folder.queued.unlink()
        del self.places[step.fingerprint]
        if not array.elements:
            del self.jobs[array]
            self._held = [(held, folder) for held, folder in self._held if held != job]

    def release(self) -> None:
        """All of them may begin. Raises NoAnswer; whoever looks next makes up for it."""
        commands.release(*[job for job, _ in self._held])
        for _, folder in self._held:
            folder.released.touch()
        self._held.clear()


def _found(name: str) -> str:
    """The id of the job of that name."""
    with contextlib.suppress(NoAnswer):
        for job in commands.queue([name]):
            return job.array
    return ""
