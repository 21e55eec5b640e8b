"""A cluster as a dispatcher: whatever is offered becomes a few arrays that wait for each other, and nobody stays behind."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from simclr_spec.core.words import counted, span
from simclr_spec.dispatch.dispatcher import Change
from simclr_spec.dispatch.slurm import commands, ledger, reconcile, rest
from simclr_spec.dispatch.slurm.arrays import Array, Wanted, chains
from simclr_spec.dispatch.slurm.commands import NoAnswer
from simclr_spec.dispatch.slurm.reconcile import Seen
from simclr_spec.dispatch.slurm.submitter import Submitter
from simclr_spec.dispatch.task import Task
from simclr_spec.language.runner import Slurm
from simclr_spec.store.layout import Store
from simclr_spec.store.sentences import in_other_hands


@dataclass(kw_only=True)
class Cluster:
    """One submission of a plan; what it has done, it says in `told`."""

    submitter: Submitter
    command: Sequence[str]
    """what submits the rest, after `simclr-spec`"""
    seen: Seen
    largest: int
    """one more than the highest index of an array"""
    asked: float
    """when a person asked for it"""
    told: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    begins_again: bool = False
    """this process is the job that submits the rest, and there was no room for another one"""

    resident = False

    @classmethod
    @contextlib.contextmanager
    def opened(cls, runner: Slurm, store: Store, variables: Mapping[str, str], command: Sequence[str]) -> Iterator[Cluster]:
        """Alone with the store, and after a look at what is queued. Raises NoAnswer where Slurm cannot be asked."""
        largest = int(commands.config().get("MaxArraySize", 1001))
        with ledger.submitting(store):
            seen = reconcile.reconcile(store)
            if seen.silent:
                raise NoAnswer(f"{seen.silent}; nothing was submitted, since nobody can say what is queued already")
            submitter = Submitter(runner=runner, store=store, variables=variables)
            cluster = cls(submitter=submitter, command=command, seen=seen, largest=largest, asked=rest.asked(store))
            yield cluster
        if cluster.begins_again:
            commands.requeue(rest.this_job())

    @property
    def parallelism(self) -> int:
        return self.submitter.runner.parallelism or sys.maxsize

    def submit(self, ready: Sequence[Task]) -> None:
        """All of them, parents first, but for those whose parents run where Slurm cannot wait for them.

        Where not all can be queued, whole chains are, and a last job submits the rest.
        """
        wanted: dict[str, Wanted] = {}
        for task in ready:
            if change := self._settled(task):
                self.changes.append(change)
            elif (step := self._wanted(task, wanted)) is not None:
                wanted[task.step.fingerprint] = step
        ordered = chains(list(wanted.values()))
        try:
            self.submitter.take(ordered[: self._room(len(ordered))], self.largest)
            if len(self.submitter.places) < len(ordered):
                self._leave_the_rest(ordered)
        finally:
            self.submitter.release()
        self.told = [
            sentence(array, job, self.submitter.after(array)) for array, job in self.submitter.jobs.items()
        ] + self.told
        self.changes += [Change(wanted[fingerprint].item, "queued") for fingerprint in self.submitter.places]

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

    def _settled(self, task: Task) -> Change | None:
        """What has become of it meanwhile: since this run looked first, or since a person asked for it."""
        queued, state = task.folder.queued_as(), task.folder.state()
        if state == "done":
            return Change(task, "done")
        if queued and queued.job in self.seen.live:  # also while nobody can say whether it has begun, or begins again
            return Change(task, "running" if state == "running" else "queued")
        if state == "queued" and queued and not self.submitter.store.array(queued.array).closed.exists():
            return Change(task, "queued")
        if state == "running":
            return Change(task, "elsewhere", in_other_hands(task.folder))
        if queued and task.folder.queued.stat().st_mtime > self.asked:
            return Change(task, "failed", f"its job {queued.job} was submitted since, and did not end well")
        return None

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
            request=self.submitter.runner.request(step.coordinates),
            parents=tuple(parent for parent in step.needs.values() if parent in wanted),
            live=tuple(live),
            item=task,
        )

    def _room(self, steps: int) -> int:
        """For how many of so many Steps, as far as the runner says; one place is kept for the job that submits the rest."""
        runner = self.submitter.runner
        if runner.max_jobs is None:
            return steps
        free = max(0, runner.max_jobs - commands.mine())
        return steps if steps <= free else max(0, free - runner.submit_from_jobs)

    def _leave_the_rest(self, wanted: Sequence[Wanted]) -> None:
        """To a job; where there can be none, to a person."""
        job = self._last_job()
        waiting = [step.item for step in wanted if step.fingerprint not in self.submitter.places]
        count = counted(len(waiting), "Step")
        why = self.submitter.full or f"max_jobs = {self.submitter.runner.max_jobs}"
        if job:
            when = "begins again, and submits" if self.begins_again else "submits"
            self.told.append(f"job {job} {when} the other {count} when there is room ({why})")
            self.changes += [Change(task, "queued", job) for task in waiting]
        else:
            self.told.append(f"{len(self.submitter.places)} submitted, {len(waiting)} wait for the next `run` ({why})")

    def _last_job(self) -> str:
        """Its id, or that of the one that waits already."""
        if not self.submitter.runner.submit_from_jobs:
            return ""
        if there := self.seen.rest.get(rest.as_typed(self.command)):
            return there.array
        if job := self.submitter.submit_rest(self.command, self.asked):
            return job
        self.begins_again = bool(rest.this_job()) and commands.mine() > 1
        return rest.this_job() if self.begins_again else ""


def sentence(array: Array, job: str, after: Sequence[str]) -> str:
    """`job 1234: 13 of finetune, each on 4 x 8 GPUs for at most 24 h, after its own of job 1233`."""
    request = array.request
    what = "GPU" if request.gpus_per_node else "process"
    size = f"{request.nodes} x {counted(request.processes, what)}" if request.nodes > 1 else counted(request.processes, what)
    waits = "".join(
        ", after " + dependency.replace("aftercorr:", "its own of job ").replace("afterok:", "job ") for dependency in after
    )
    each = "each " if len(array.elements) > 1 else ""
    return f"job {job}: {len(array.elements)} of {array.kind}, {each}on {size} for at most {span(request.minutes)}{waits}"
