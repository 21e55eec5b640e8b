"""Slots of this machine as a dispatcher: ready Steps go to idle workers, and the store says how each ended."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from simclr_spec.core.errors import SimclrSpecError
from simclr_spec.core.files import read_json
from simclr_spec.core.states import TaskState
from simclr_spec.core.words import number
from simclr_spec.dispatch.dispatcher import POLL_SECONDS, Change
from simclr_spec.dispatch.local import submitit_jobs
from simclr_spec.dispatch.local.pool import Event, Pool, Worker
from simclr_spec.dispatch.local.slots import refuse_too_many, slots
from simclr_spec.dispatch.task import Task
from simclr_spec.language.runner import Local
from simclr_spec.plan import Step
from simclr_spec.store.jobs import job_folder
from simclr_spec.store.layout import Failure, Store
from simclr_spec.store.sentences import in_other_hands, last_error

GRACE_SECONDS = 10.0
"""For a Step to reach its next train step and write a checkpoint, once it was asked to stop."""
START_FAILURES = 3
DIED = "its process ended without a word: it was killed, perhaps because memory ran out"


@dataclass(kw_only=True)
class Slots:
    """A worker in each slot that has had something to do, or in several for the Steps that take so many."""

    pool: Pool
    runner: Local = field(default_factory=Local)
    changes: list[Change] = field(default_factory=list)
    """since the last poll"""
    begun: dict[Task, float] = field(default_factory=dict)
    """time.monotonic() when a Step was given to its worker"""
    asked_to_stop: dict[Task, float] = field(default_factory=dict)
    """time.monotonic() when a Step was first asked to"""
    late: set[Task] = field(default_factory=set)
    """beyond the timeout"""
    failures: Counter[tuple[Task, Failure]] = field(default_factory=Counter)
    said: str = ""
    """of the GPUs that other runs use"""
    failed_starts: int = 0
    hung_up: float | None = None
    """time.monotonic() when all workers were asked to leave"""

    @classmethod
    @contextlib.contextmanager
    def opened(cls, runner: Local, store: Store, environment: Mapping[str, str], steps: Iterable[Step] = ()) -> Iterator[Slots]:
        """No process is left at the end. Raises UsageError where this machine has not what the runner says, or a Step takes."""
        places = slots(runner)
        refuse_too_many(runner, places, steps)
        with job_folder(store) as folder:
            pool = Pool(folder, places, environment)
            try:
                yield cls(pool=pool, runner=runner)
            finally:
                pool.close()

    resident = True
    told = ()

    @property
    def parallelism(self) -> int:
        return len(self.pool.slots)

    def submit(self, ready: Sequence[Task]) -> None:
        """To idle workers; where workers lack, begin one in free slots. What finds too few has those of idle workers, and
        what is less urgent waits meanwhile: else Steps of one slot would keep one of several from ever beginning."""
        starting = Counter(len(worker.slots) for worker in self.pool.workers if not worker.started)
        for task in ready:
            size = self.runner.share(task.step.coordinates).processes
            idle = [worker for worker in self.pool.workers if worker.idle]
            if worker := next((worker for worker in idle if len(worker.slots) == size), None):
                self._give(worker, task)
            elif starting[size]:
                starting[size] -= 1
            elif claimed := self.pool.claim(size):
                self.pool.start(claimed)
            else:
                self._wait_for_slots(task, size, idle)
                return

    def _wait_for_slots(self, task: Task, size: int, idle: list[Worker]) -> None:
        users = self.pool.gpus.others()
        coming = [slot for slot in self.pool.free_slots() if slot not in users]
        coming += [slot for worker in self.pool.workers if worker.retired for slot in worker.slots]
        for worker in idle:
            if len(coming) < size:
                self.pool.retire(worker)
                coming += worker.slots
        why = "waits for " + ", ".join(f"GPU {slot.gpu}, which process {pid} uses" for slot, pid in users.items())
        if users and not self.pool.workers and why != self.said:
            self.said = why
            self._change(task, "waiting", why)

    def poll(self) -> Iterable[Change]:
        for event in self.pool.wait(0.0 if self.changes else POLL_SECONDS):
            self._take(event)
        self._limit()
        self._press()
        changes, self.changes = self.changes, []
        return changes

    def cancel(self, task: Task) -> None:
        self.asked_to_stop.setdefault(task, time.monotonic())

    def detach(self, *, at_once: bool) -> bool:
        """Workers do not outlive their run: hang up once; kill after the grace."""
        now = time.monotonic()
        if self.hung_up is None:
            self.hung_up = now
            self.pool.hang_up()
        elif at_once or now - self.hung_up > GRACE_SECONDS:
            self.pool.kill()
        return not self.pool.workers

    def _give(self, worker: Worker, task: Task) -> None:
        if task.folder.done or task.folder.is_leased():
            self._change(task, "elsewhere", in_other_hands(task.folder))
            return
        task.count_attempts()
        self.begun[task] = time.monotonic()
        self._change(task, "running")
        self.pool.give(worker, task)

    def _change(self, task: Task, state: TaskState, why: str = "") -> None:
        self.changes.append(Change(task, state, why))

    def _take(self, event: Event) -> None:
        worker, task = event.worker, event.worker.task
        worker.task = None
        if event.what == "idle":
            self.failed_starts = 0
            if task is not None:
                self._ended(worker, task, event.word)
        elif task is not None:
            self._died(worker, task)
        elif not worker.started and self.hung_up is None:
            self._did_not_start(worker)
        if task is not None:
            self.begun.pop(task)
            self.asked_to_stop.pop(task, None)

    def _did_not_start(self, worker: Worker) -> None:
        self.failed_starts += 1
        if self.failed_starts == START_FAILURES:
            last_line = (submitit_jobs.stderr(worker.job).splitlines() or [DIED])[-1]
            raise SimclrSpecError(f"the workers do not start: {last_line} (see {worker.job.paths.stderr})")

    def _ended(self, worker: Worker, task: Task, word: str) -> None:
        """The worker says that it has ended the task, and what went wrong; how it ended, the store knows."""
        if task.folder.done:
            self._change(task, "done")
            return
        attempt = task.attempt()
        record = read_json(attempt.record) if attempt else None
        if len(worker.slots) > 1:  # a team, whose ranks were killed or did not begin
            word = (worker.last_words().splitlines() or [""])[-1]
        if attempt and record and record.get("pid") == worker.trainer:
            task.log = attempt.log
            if record.get("state") == "running" and len(worker.slots) > 1:  # a team, none of which could say how it ended
                self._died(worker, task)
            elif task in self.late:
                self._close(task, self._too_long())
                self._change(task, "failed", self._too_long())
            elif record.get("state") == "interrupted" or not (word or record.get("error")):
                self._change(task, "interrupted")
            else:
                failed = record.get("state") == "failed"
                self._failed(task, last_error(attempt) if failed else word, record.get("failure") if failed else None)
        elif attempt is None and task in self.late:  # a team that had not begun
            self._change(task, "failed", self._too_long())
        elif attempt is None and self.hung_up is not None:
            self._change(task, "interrupted")
        elif not task.folder.step.exists():  # else it would be given again and again
            self._change(task, "failed", f"its run folder is gone: somebody deleted {task.folder.path}")
        elif word:
            self._change(task, "failed", word)
        else:
            self._change(task, "elsewhere", in_other_hands(task.folder))

    def _too_long(self) -> str:
        minutes = number(self.runner.timeout_minutes or 0)
        return f"took longer than the runner's timeout of {minutes} minutes; its checkpoint waits"

    def _died(self, worker: Worker, task: Task) -> None:
        """The process is gone in the middle of a Step, or between its end and the word about it."""
        attempt = task.attempt()
        if task.folder.done:
            self._change(task, "done")
        elif self.hung_up is not None:
            self._change(task, "interrupted")
        else:
            last_words = worker.last_words().splitlines()
            why = self._too_long() if task in self.late else last_words[-1] if last_words else DIED
            failure: Failure | None = None if task in self.late else "killed"
            if attempt is not None:
                task.log = attempt.log
                self._close(task, why, failure)
            self._failed(task, why, failure)

    def _failed(self, task: Task, why: str, failure: Failure | None) -> None:
        """It begins again, as often as the runner says of this kind of failure."""
        if failure is not None:
            self.failures[task, failure] += 1
            again, limit = self.failures[task, failure], getattr(self.runner.retries, failure)
            if again <= limit and self.hung_up is None:
                self._change(task, "waiting", f"failed, attempt {again + 1} of {limit + 1} begins: {why}")
                return
        self._change(task, "failed", why)

    def _close(self, task: Task, why: str, failure: Failure | None = None) -> None:
        """Write the end of an attempt whose process could not; on a full disk the attempt counts as interrupted."""
        attempt = task.attempt()
        with contextlib.suppress(OSError), task.folder.leased() as mine:
            if mine and attempt is not None and not task.folder.done:
                attempt.close("failed", why, failure)

    def _limit(self) -> None:
        """A Step beyond the runner's timeout is to end."""
        if self.runner.timeout_minutes is not None:
            now, limit = time.monotonic(), self.runner.timeout_minutes * 60
            self.late |= {task for task, began in self.begun.items() if now - began > limit}
            for task in self.late & self.begun.keys():
                self.cancel(task)

    def _press(self) -> None:
        """What is to end is asked to stop, again and again since a signal could fall between two handlers, then killed."""
        for worker in self.pool.workers:
            since = self.asked_to_stop.get(worker.task) if worker.task is not None else None
            if since is not None and worker.pid is not None:
                over = time.monotonic() - since > GRACE_SECONDS
                with contextlib.suppress(ProcessLookupError):  # its `gone` is on the way
                    if over:
                        os.killpg(worker.pid, signal.SIGKILL)
                    else:
                        os.kill(worker.pid, signal.SIGTERM)
