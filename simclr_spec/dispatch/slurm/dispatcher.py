"""A cluster as a dispatcher: whatever is offered becomes a few arrays that wait for each other, and nobody stays behind."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from simclr_spec.core.code import code_version
from simclr_spec.core.words import counted
from simclr_spec.dispatch.dispatcher import Change
from simclr_spec.dispatch.slurm import commands, ledger, reconcile
from simclr_spec.dispatch.slurm.arrays import Array, Wanted, arrays
from simclr_spec.dispatch.slurm.commands import NoAnswer
from simclr_spec.dispatch.slurm.reconcile import Seen
from simclr_spec.dispatch.slurm.submission import Submission
from simclr_spec.dispatch.task import Task
from simclr_spec.language.runner import Slurm
from simclr_spec.store.layout import ArrayFolder, Store


@dataclass(kw_only=True)
class Cluster:
    """One submission of a plan; what it has done, it says in `told`."""

    runner: Slurm
    store: Store
    variables: Mapping[str, str]
    seen: Seen
    largest: int
    """one more than the highest index of an array"""
    told: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    _jobs: dict[Array, str] = field(default_factory=dict)

    resident = False

    @classmethod
    @contextlib.contextmanager
    def opened(cls, runner: Slurm, store: Store, variables: Mapping[str, str]) -> Iterator[Cluster]:
        """Alone with the store, and after a look at what is queued. Raises NoAnswer where Slurm cannot be asked."""
        largest = int(commands.config().get("MaxArraySize", 1001))
        with ledger.submitting(store):
            seen = reconcile.reconcile(store)
            if seen.silent:
                raise NoAnswer(f"{seen.silent}; nothing was submitted, since nobody can say what is queued already")
            yield cls(runner=runner, store=store, variables=variables, seen=seen, largest=largest)

    @property
    def parallelism(self) -> int:
        return self.runner.parallelism or sys.maxsize

    def submit(self, ready: Sequence[Task]) -> None:
        """All of them, parents first, but for those whose parents run where Slurm cannot wait for them."""
        wanted: dict[str, Wanted] = {}
        for task in ready:
            if task.folder.state() == "queued" or self._comes_back(task):
                self.changes.append(Change(task, "queued"))
            elif (step := self._wanted(task, wanted)) is not None:
                wanted[task.step.fingerprint] = step
        for array in arrays(list(wanted.values()), self.largest):
            self._submit(array)

    def poll(self) -> Iterable[Change]:
        changes, self.changes = self.changes, []
        return changes

    def cancel(self, task: Task) -> None:
        """Before it begins."""
        if queued := task.folder.queued_as():
            commands.cancel([queued.job])

    def detach(self, *, at_once: bool) -> bool:  # noqa: ARG002
        """Jobs stay where they are."""
        return True

    def _comes_back(self, task: Task) -> bool:
        """Its job has left the Step for a moment: Slurm starts it again, or it is about to."""
        queued = task.folder.queued_as()
        return queued is not None and queued.job in self.seen.live

    def _wanted(self, task: Task, wanted: Mapping[str, Wanted]) -> Wanted | None:
        """None where a parent is neither done, nor among the wanted, nor a job that Slurm knows."""
        live = []
        for fingerprint, folder in task.parents().items():
            if fingerprint in wanted or folder.done:
                continue
            queued = folder.queued_as()
            if queued is None or queued.job not in self.seen.live:
                return None
            live.append(queued.job)
        step = task.step
        return Wanted(
            fingerprint=step.fingerprint,
            kind=step.kind,
            request=self.runner.request(step.coordinates),
            parents=tuple(parent for parent in step.needs.values() if parent in wanted),
            live=tuple(live),
            item=task,
        )

    def _submit(self, array: Array) -> None:
        """Intent, job, receipt, release."""
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
        submission = self._submission(array, folder)
        folder.script.write_text(submission.text(), encoding="utf-8")
        vanished = {task.step.id: _vanished(task) for task in tasks.values()}
        job = self._job(submission)
        ledger.adopt(self.store, folder, job, vanished=vanished)
        commands.release(job)
        folder.released.touch()
        self._jobs[array] = job
        self.told.append(sentence(array, job, submission.after))
        self.changes += [Change(task, "queued") for task in tasks.values()]

    def _job(self, submission: Submission) -> str:
        """Its id; where sbatch fails although the job was accepted, by its name."""
        try:
            return submission.submit()
        except NoAnswer as error:
            with contextlib.suppress(NoAnswer):
                for job in commands.queue([submission.name]):
                    return job.array
            raise NoAnswer(f"{error}; {counted(len(self._jobs), 'array')} queued before stay so") from None

    def _submission(self, array: Array, folder: ArrayFolder) -> Submission:
        return Submission(
            name=folder.name,
            folder=folder.path,
            indices=array.indices,
            request=array.request,
            runner=self.runner,
            after=[after.text(self._jobs.__getitem__) for after in array.after],
            exclude=ledger.bad_nodes(self.store, self.runner),
            python=self.runner.python or shlex.quote(sys.executable),
        )


def _vanished(task: Task) -> int:
    """How often before a job of the Step was lost without a word."""
    queued = task.folder.queued_as()
    return 0 if queued is None else queued.vanished + (queued.ended == "unknown")


def sentence(array: Array, job: str, after: Sequence[str]) -> str:
    """`job 1234: 13 of pretrain, each 4 x 8 GPUs for at most 24 h; after 1233`."""
    request = array.request
    what = "GPU" if request.gpus_per_node else "process"
    size = f"{request.nodes} x {counted(request.processes, what)}" if request.nodes > 1 else counted(request.processes, what)
    waits = f", {' '.join(after)}" if after else ""
    return f"job {job}: {len(array.elements)} of {array.kind}, each {size} for {request.minutes} minutes{waits}"
