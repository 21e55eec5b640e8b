"""What `doctor --runner` finds of a cluster before anything is submitted: what Slurm says, and what a small job on a node sees.

A line begins with ✓, with ! for what works but should be known, or with ✗, and then ends with what to do.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from simclr_spec.core.errors import UsageError
from simclr_spec.core.words import counted, number
from simclr_spec.data.roots import owner_and_folder
from simclr_spec.dispatch.slurm import commands
from simclr_spec.dispatch.slurm.commands import NoAnswer
from simclr_spec.dispatch.slurm.submission import Submission
from simclr_spec.dispatch.slurm.trial import Trial
from simclr_spec.language.coordinates import as_selector
from simclr_spec.language.machine import Machine
from simclr_spec.language.runner import Request, Slurm, applied
from simclr_spec.plan import Step
from simclr_spec.store.layout import Store
from simclr_spec.store.probe import probe

NEEDED = ("sbatch", "squeue", "scancel", "scontrol")
_REMEDIES = {
    "account": "`sacctmgr show assoc user=$USER format=account,partition,qos` lists yours",
    "qos": "`sacctmgr show assoc user=$USER format=account,partition,qos` lists yours",
    "partition": "`sinfo --summarize` lists partitions",
    "feature": "`sinfo --format='%n %f'` lists the features of nodes",
    "node configuration": "`sinfo --Node --format='%N %c %m %G'` lists cores, memory (MB) and GPUs of nodes",
}
"""By a word of what sbatch says; the first that occurs counts."""
_STARTS = re.compile(r"Job \d+ to start at (\S+) using \d+ processors on nodes (\S+) in partition (\S+)")


@dataclass(frozen=True)
class Asked:
    """A request of the profile, and which Steps make it."""

    who: str
    request: Request

    def __str__(self) -> str:
        request = self.request
        what = counted(request.processes, "GPU" if request.gpus_per_node else "process")
        return f"{self.who} ({counted(request.nodes, 'node')} with {what} for {counted(request.minutes, 'minute')})"


def requests(runner: Slurm, steps: Sequence[Step]) -> list[Asked]:
    """Each different one: of these Steps, else of the profile and each of its rules."""
    found: dict[Request, str] = {}
    if not steps:
        found[runner.resources] = "every other Step" if runner.rules else "every Step"
        for rule in runner.rules:
            found.setdefault(applied(runner.resources, rule), as_selector(rule.when))
    stages: dict[Request, Counter[str]] = {}
    for step in steps:
        stages.setdefault(runner.request(step.coordinates), Counter())[step.stage] += 1
    found |= {request: ", ".join(f"{n} {stage}" for stage, n in count.items()) for request, count in stages.items()}
    return [Asked(who, request) for request, who in found.items()]


def look(
    runner: Slurm,
    store: Store,
    steps: Sequence[Step],
    *,
    machine: Machine | None,
    data_roots: Sequence[str],
    wait: float,
    tell: Callable[[str], object],
) -> Iterator[str]:
    """All of it; on a compute node by a job that is waited for so many seconds."""
    asked = requests(runner, steps)
    found = []
    try:
        for line in cluster(runner, asked, len(steps)):
            found.append(line)
            yield line
        probe(store.path)
    except (NoAnswer, UsageError) as error:
        yield f"✗ {str(error).removesuffix('. Nothing started')}"
        return
    if any(line.startswith("✗") for line in found):
        yield "! no job is tried on a compute node before that is mended"
        return
    folders = [folder for root in data_roots if os.path.isdir(folder := os.path.abspath(owner_and_folder(root)[1]))]
    trial = Trial(runner=runner, store=store, request=asked[0].request, folders=folders, machine=machine, wait=wait, tell=tell)
    yield from trial.lines()


def cluster(runner: Slurm, asked: Sequence[Asked], steps: int) -> Iterator[str]:
    """What Slurm itself says; `steps` are to be submitted. Raises NoAnswer where it cannot be asked."""
    config = commands.config()
    yield from _programs(config)
    yield from _accounting(config)
    yield from _limits(config, steps)
    yield _waits(config)
    partitions = commands.partitions()
    for one in asked:
        yield _request(one, runner, partitions)
    for name in sorted({name for one in asked for name in _names(one.request, partitions) if name in partitions}):
        yield from _preemption(partitions[name], config, runner)


def _programs(config: Mapping[str, str]) -> Iterator[str]:
    lacking = [name for name in NEEDED if shutil.which(name) is None]
    if lacking:
        yield f"✗ {config['SLURM_VERSION']} answers, but this machine has no {', '.join(lacking)}: use a login node"
    else:
        yield f"✓ Slurm {config['SLURM_VERSION']} answers, cluster {config['ClusterName']}"


def _accounting(config: Mapping[str, str]) -> Iterator[str]:
    try:
        commands.history(["1"])
        yield "✓ accounting answers: how a job ended is known for long"
    except NoAnswer as error:
        yield (
            f"! no accounting ({error}): how a job ended is known for {_seconds(config['MinJobAge'])} (MinJobAge); look with "
            "`simclr-spec status` by then, or a job that ended before it began is submitted once more"
        )


def _limits(config: Mapping[str, str], steps: int) -> Iterator[str]:
    largest, jobs = int(config["MaxArraySize"]), int(config["MaxJobCount"])
    if largest < 2:
        yield f"✗ this cluster takes no job arrays (MaxArraySize {largest}): ask its administrators for them"
        return
    yield f"✓ arrays of {largest:,} jobs at most (MaxArraySize), {jobs:,} jobs in the queue of all users (MaxJobCount)"
    with contextlib.suppress(NoAnswer):
        for account, most in commands.most_submitted(getpass.getuser()).items():
            mark = "!" if steps > most else "✓"
            more = (
                f", fewer than the {counted(steps, 'Step')} of this plan: they are submitted by and by" if steps > most else ""
            )
            yield f"{mark} account {account} lets {counted(most, 'job')} of yours be in the queue (MaxSubmitJobs){more}"


def _waits(config: Mapping[str, str]) -> str:
    expire = re.search(r"cred_expire=(\d+)", config["AuthInfo"])
    seconds = expire[1] if expire else "120"
    return (
        f"✓ a job that begins again waits for {seconds} s at least (cred_expire); one that is cancelled by scancel has "
        f"{_seconds(config['KillWait'])} to save (KillWait)"
    )


def _seconds(text: str) -> str:
    """`30 s`, of Slurm's `30 sec`."""
    return f"{text.split(maxsplit=1)[0]} s"


def _names(request: Request, partitions: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Of its partitions; the cluster's default ones where it names none."""
    defaults = [name for name, row in partitions.items() if row["Default"] == "YES"]
    return request.partition.split(",") if request.partition else defaults


def _request(asked: Asked, runner: Slurm, partitions: Mapping[str, Mapping[str, str]]) -> str:
    faults = [_fault(partitions[name], asked.request) for name in _names(asked.request, partitions) if name in partitions]
    if faults and all(faults):  # Slurm takes such jobs, and lets them wait for ever
        return f"✗ {asked}: {faults[0]}"
    try:
        said = Submission(
            name="doctor",
            folder=Path.cwd(),
            indices="0",
            request=asked.request,
            runner=runner,
            python=shlex.quote(sys.executable),
        ).test()
    except NoAnswer as error:
        return f"✗ {asked}: {error}: {_remedy(str(error).casefold())}"
    starts = _STARTS.search(said)
    return f"✓ {asked}: " + (
        f"would begin {starts[1]} on {starts[2]} in partition {starts[3]}" if starts else said.splitlines()[-1]
    )


def _remedy(refusal: str) -> str:
    return next((remedy for word, remedy in _REMEDIES.items() if word in refusal), "mend [resources] or the rule")


def _fault(partition: Mapping[str, str], request: Request) -> str:
    """Why no job of this request ever begins there; empty where one may."""
    name, most = partition["PartitionName"], minutes(partition["MaxTime"])
    if partition["State"] != "UP":
        return f"partition {name} is {partition['State']}: name another in `partition`"
    if most is not None and request.minutes > most:
        return (
            f"partition {name} ends jobs after {counted(most, 'minute')}, so Slurm would never begin it: set `minutes` to that"
        )
    if partition["MaxNodes"].isdigit() and request.nodes > int(partition["MaxNodes"]):
        return f"partition {name} gives {counted(int(partition['MaxNodes']), 'node')} at most: set `nodes` to that"
    return ""


def minutes(text: str) -> int | None:
    """Of `UNLIMITED`, `00:01:00` or `2-00:00:00`."""
    if not (found := re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):\d+", text)):
        return None
    days, hours, rest = (int(part or 0) for part in found.groups())
    return 60 * (24 * days + hours) + rest


def _preemption(partition: Mapping[str, str], config: Mapping[str, str], runner: Slurm) -> Iterator[str]:
    name, mode, grace = partition["PartitionName"], partition["PreemptMode"], int(partition["GraceTime"])
    if (
        config["PreemptType"] in ("preempt/none", "(null)") or mode == "OFF" or "SUSPEND" in mode
    ):  # a suspended job loses nothing
        return
    if "CANCEL" in mode:
        yield f"! partition {name} ends jobs for others (PreemptMode {mode}): call `run` again to go on with their Steps"
    if grace < runner.grace_seconds:
        yield (
            f"! partition {name} gives a job {grace} s to save before others get its nodes (GraceTime), less than grace_seconds"
            f" {runner.grace_seconds}: {number(runner.checkpoint_seconds)} s of training (checkpoint_seconds) may be done again"
        )
    elif "CANCEL" not in mode:
        yield f"✓ partition {name} preempts jobs ({mode}) after {grace} s, in which a Step saves"
