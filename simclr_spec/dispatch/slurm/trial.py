"""One small job that looks around on a compute node (visit.py), and what it saw held against what is here."""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from simclr_spec.core.files import read_json, write_json
from simclr_spec.core.words import counted, number, size
from simclr_spec.dispatch.slurm import commands, ledger
from simclr_spec.dispatch.slurm.commands import Job, NoAnswer
from simclr_spec.dispatch.slurm.submission import Submission
from simclr_spec.dispatch.slurm.visit import software
from simclr_spec.language.machine import Machine
from simclr_spec.language.runner import Request, Slurm
from simclr_spec.store.arrays import ArrayFolder
from simclr_spec.store.layout import Store

POLL_SECONDS = 1.0
SETTLE_SECONDS = 10.0
"""That a file written on a node may take to be seen here after its job has ended."""
MINUTES, MEMORY_GIB = 5, 8
"""At most, of the job."""
MODULE = "simclr_spec.dispatch.slurm.visit"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A job of one process that asks for as little of this request as shows what a Step would find."""

    runner: Slurm
    store: Store
    request: Request
    folders: Sequence[str] = ()
    """that a node must see: where data sets lie"""
    machine: Machine | None = None
    """for which costs are estimated"""
    wait: float
    """seconds, at most"""
    tell: Callable[[str], object]

    def lines(self) -> Iterator[str]:
        """What it saw. Its folder is removed, and its job cancelled where it is not at its end by then."""
        new = not self.store.path.exists()
        self.store.make()
        folder = ArrayFolder(self.store.trial().path)
        folder.path.mkdir(mode=0o700)
        try:
            write_json(folder.intent, {"folders": list(self.folders)})
            yield from self._in(folder)
        except NoAnswer as error:
            yield f"✗ no job could be tried: {error}"
        finally:
            shutil.rmtree(folder.path, ignore_errors=True)
            if new:
                with contextlib.suppress(OSError):  # something else has begun to use it
                    self.store.path.rmdir()

    def _in(self, folder: ArrayFolder) -> Iterator[str]:
        submission = self._submission(folder)
        job = submission.submit()
        try:
            commands.release(job)
            self.tell(f"job {job} looks around on a compute node; it has {number(self.wait)} s (Ctrl-C cancels it)")
            end = self._end(folder, submission.name)
        finally:
            commands.cancel([job])
        seen = read_json(folder.receipt)
        yield from self._found(seen) if seen else [self._nothing(folder, end)]

    def _submission(self, folder: ArrayFolder) -> Submission:
        python = self.runner.python or shlex.quote(sys.executable)
        alone = Submission(
            name=f"doctor-{os.urandom(3).hex()}",
            folder=folder.path,
            indices="0",
            request=small(self.request),
            runner=replace(self.runner, grace_seconds=1),
            python=python,
        )
        visit = f"{python} -u -m {MODULE} {shlex.quote(str(folder.path.absolute()))}"
        outside = f"\"$({alone.once()}{python} -c 'import simclr_spec' && echo yes)\""
        return replace(alone, lines=f'{alone.srun()} {visit} "$(command -v scontrol)" {outside}')

    def _end(self, folder: ArrayFolder, name: str) -> Job | None:
        """The job once it has answered or ended, or as it was last seen when its time is up; None where Slurm forgot it."""
        until, settled = time.monotonic() + self.wait, math.inf
        while True:
            job = next(iter(commands.queue([name])), None)
            if (job is None or not job.live) and settled == math.inf:
                settled = time.monotonic() + SETTLE_SECONDS
            failed = settled < math.inf and job and job.state != "COMPLETED" and ledger.last_words(folder, 0)
            if folder.receipt.exists() or failed or time.monotonic() > min(until, settled):
                return job
            time.sleep(POLL_SECONDS)

    def _nothing(self, folder: ArrayFolder, end: Job | None) -> str:
        """Why it did not answer."""
        if end and end.live:
            begun = "did not begin" if end.state == "PENDING" else f"is {end.state} without an answer"
            known = "nothing is known of compute nodes; --wait says how long to wait"
            return f"! the job {begun} within {number(self.wait)} s ({end.reason}): {known}"
        if end and not end.nodes:
            return f"✗ the job was {end.state} before it began: ask who did that, and call again"
        node = end.nodes if end else "the node"
        if not folder.log(0).exists():
            store = self.store.path.absolute()
            return f"✗ {node} does not see {store}: use a --store that compute nodes share with this machine"
        said = ledger.last_words(folder, 0) or "without a word"
        return f"✗ Python does not start on {node} ({said}): mend `python` or `setup`"

    def _found(self, seen: Mapping[str, Any]) -> Iterator[str]:
        node = seen["node"]
        yield f"✓ {node} sees the store, and what it writes is seen here"
        yield from self._software(node, seen["software"])
        if seen["torch_fault"]:
            yield f"✗ torch does not load on {node} ({seen['torch_fault']}): mend `python` or `setup`"
        if not seen["scontrol"]:
            yield (
                f"✗ jobs on {node} have no scontrol in their PATH, so that no Step could begin again: "
                "add its folder in `setup`, as `export PATH=$PATH:/opt/slurm/bin`"
            )
        if not seen["outside"]:
            yield (
                f"✗ `python` of the runner has no simclr_spec on {node} where srun has not begun (in no container), so that no "
                "Step could begin again: name one that has it there, too"
            )
        yield from (
            f"✗ {node} does not see {folder}: put the data where compute nodes see it, and name it by --data-root"
            for folder in seen["lacking"]
        )
        yield from self._cores(node, seen["cores"])
        if self.request.gpus_per_node and not seen["torch_fault"]:
            yield from self._gpus(node, seen["gpus"])

    def _software(self, node: str, there: Mapping[str, str]) -> Iterator[str]:
        here = software()
        if here == there:
            yield f"✓ {node} has the same {', '.join(f'{name} {version}' for name, version in here.items())}"
        for name in here:
            if here[name] != there[name]:
                found = f"{node} has {name} {there[name]}, and this machine {here[name]}"
                yield f"✗ {found}: use one environment, by `python` or `setup`"

    def _cores(self, node: str, cores: int) -> Iterator[str]:
        asked = self.request.cpus_per_process or self.runner.threads
        if cores >= asked:
            yield f"✓ a process on {node} may use the {counted(asked, 'core')} that it asks for"
        else:
            yield (
                f"✗ a process on {node} may use {cores} of the {counted(asked, 'core')} that it asks for: "
                'ask for fewer `threads`, or bind otherwise, as by `srun = ["--cpu-bind=none"]`'
            )

    def _gpus(self, node: str, gpus: Sequence[tuple[str, int]]) -> Iterator[str]:
        if not gpus:
            yield (
                f"✗ torch sees no GPU on {node}: it needs its driver, a torch built for CUDA, and in a container the option "
                "for GPUs (apptainer: --nv)"
            )
        for name, memory in gpus[:1]:
            yield _held_against(f"{node} has {name}, {size(memory)}", name, memory, self.machine)


def _held_against(found: str, name: str, memory: int, machine: Machine | None) -> str:
    if machine is None:
        return f"✓ {found}; name it by `machine` for estimates of its own"
    if machine.unit != "GPU" or machine.device not in name:
        return f"✗ {found}, but hours and memory are estimated for {machine.title}: set `machine`"
    if memory < machine.room:
        return f"✗ {found}, and `machine` promises {number(machine.memory_gib)} GiB: name a machine file with less memory_gib"
    return f"✓ {found}, as `machine` says"


def small(request: Request) -> Request:
    """One process of it, for a few minutes."""
    return replace(
        request,
        nodes=1,
        gpus_per_node=min(request.gpus_per_node, 1),
        processes_per_node=1,
        memory_gib=request.memory_gib and min(request.memory_gib, MEMORY_GIB),
        minutes=min(request.minutes, MINUTES),
    )
