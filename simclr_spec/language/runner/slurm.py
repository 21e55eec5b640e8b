"""The runner `slurm`: a cluster's queue. What is written here reaches `sbatch`, so words are words and numbers are whole."""

# No `from __future__ import annotations`: see core/fields.py.
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from simclr_spec.core.errors import Fault
from simclr_spec.core.fields import Schema, described
from simclr_spec.language.coordinates import Coordinates
from simclr_spec.language.document import Document, Path
from simclr_spec.language.runner.common import Common, Retries, Rule, applied, ruled, rules, said

_WORD: Schema = {
    "pattern": r"^[A-Za-z0-9_][A-Za-z0-9_.,:+@/=-]*(?![\s\S])",  # `$` would let a last line end pass
    "maxLength": 200,
    "means": "a word of letters, digits and _ . , : + @ / = -",
}
_FEATURES: Schema = {
    "pattern": r"^[A-Za-z0-9_(\[][A-Za-z0-9_.,:+@/=&|()\[\]*-]*(?![\s\S])",
    "maxLength": 200,
    "means": "features joined by & | ( ) [ ] *, without white space",
}
_LINE: Schema = {
    "type": "string",
    "pattern": r"^[^\x00-\x08\x0a-\x1f]*(?![\s\S])",
    "maxLength": 2000,
    "means": "one line of shell",
}
_LINES: Schema = {"items": _LINE, "maxItems": 100}

OURS = frozenset(
    {
        "account",
        "array",
        "begin",
        "chdir",
        "clusters",
        "cluster-constraint",
        "uid",
        "gid",
        "version",
        "help",
        "usage",
        "comment",
        "constraint",
        "cpus-per-task",
        "deadline",
        "dependency",
        "error",
        "exclude",
        "export",
        "export-file",
        "gpus-per-node",
        "gres",
        "hold",
        "input",
        "job-name",
        "kill-on-invalid-dep",
        "mem",
        "no-requeue",
        "nodes",
        "ntasks",
        "ntasks-per-node",
        "open-mode",
        "output",
        "parsable",
        "partition",
        "qos",
        "quiet",
        "requeue",
        "signal",
        "test-only",
        "time",
        "wait",
        "wrap",
    }
)
"""Options of sbatch that we say ourselves."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a Step asks the cluster for."""

    partition: str | None = described("partitions, with commas between several", _WORD, default=None)
    account: str | None = described("account that pays", _WORD, default=None)
    qos: str | None = described("quality of service", _WORD, default=None)
    constraint: str | None = described("features that a node must have", _FEATURES, default=None)
    nodes: int = described("nodes of a Step", default=1, minimum=1, maximum=10_000)
    gpus_per_node: int = described("GPUs of each node, a process for each; 0 trains on CPUs", default=1, minimum=0, maximum=64)
    gpu_type: str | None = described("type of the GPUs, as the cluster names it", _WORD, default=None)
    processes_per_node: int = described("processes of each node where it gives no GPUs", default=1, minimum=1, maximum=1024)
    cpus_per_process: int | None = described(
        "CPU cores of each process; as many as it has threads unless written", default=None, minimum=1, maximum=1024
    )
    memory_gib: int | None = described(
        "memory of each node, in GiB; the partition's default unless written", default=None, minimum=1, maximum=100_000
    )
    minutes: int = described(
        "time limit; a Step that needs longer goes on from its checkpoint", default=1440, minimum=1, maximum=525_600
    )

    @property
    def processes(self) -> int:
        """Of each node."""
        return self.gpus_per_node or self.processes_per_node


@dataclass(frozen=True, kw_only=True)
class ClusterRetries(Retries):
    """How often a Step begins again by itself after each kind of end, counted since it was submitted."""

    killed: int = described("its process was killed without a word", default=1, minimum=0, maximum=1000)
    timeout: int = described("it reached its time limit", default=50, minimum=0, maximum=1000)
    preemption: int = described("other jobs needed its nodes", default=1000, minimum=0, maximum=100_000)
    node_failure: int = described("its node failed", default=3, minimum=0, maximum=1000)


@dataclass(frozen=True, kw_only=True)
class Slurm(Common):
    """A Slurm cluster: the whole plan as a few job arrays that wait for each other."""

    kind: Literal["slurm"] = described("a Slurm cluster", default="slurm")
    resources: Request = described("what every Step asks for", default=Request())
    rules: tuple[Rule, ...] = described("what Steps of some coordinates ask for instead", rules(Request), default=())
    retries: ClusterRetries = described("how often a Step begins again by itself", default=ClusterRetries())
    parallelism: int | None = described(
        "jobs of one array that may run at a time, all unless written", default=None, minimum=1, maximum=100_000
    )
    max_jobs: int | None = described(
        "jobs of yours that may be queued at a time; what Slurm says unless written",
        default=None,
        minimum=1,
        maximum=10_000_000,
    )
    submit_from_jobs: bool = described(
        "where not all Steps may be queued at once, a small last job submits the rest; false where jobs may not submit",
        default=True,
    )
    grace_seconds: int = described(
        "before the time limit Slurm warns so early: longer than a train step and a checkpoint take",
        default=120,
        minimum=1,
        maximum=3600,
    )
    bad_node_hours: float = described(
        "so long no Step is sent to a node that failed under one; 0 sends them anyway", default=12.0, minimum=0, maximum=10_000
    )
    most_bad_nodes: int = described("no more nodes than so many are left out", default=8, minimum=0, maximum=1000)
    setup: tuple[str, ...] = described("lines of shell before Python starts, as `module load cuda`", _LINES, default=())
    python: str | None = described(
        "what starts Python in a job, a line of shell, as `apptainer exec --nv image.sif python`; this Python unless written",
        _LINE,
        minLength=1,
        default=None,
    )
    srun: tuple[str, ...] = described("more arguments of srun, as `--container-image=...`", _LINES, default=())
    sbatch: dict[str, str] = described(
        'more options of sbatch, as `reservation = "mine"`',
        {"patternProperties": {"^[a-z][a-z-]{1,39}$": {"type": "string", **_WORD}}, "additionalProperties": False},
        default_factory=dict,
    )

    def request(self, coordinates: Coordinates) -> Request:
        """What a Step of these coordinates asks for."""
        return ruled(self.resources, self.rules, coordinates)

    def devices(self, coordinates: Coordinates) -> int:
        """A GPU, or a core, for each process."""
        request = self.request(coordinates)
        return request.nodes * request.processes

    def nodes(self, coordinates: Coordinates) -> int:
        return self.request(coordinates).nodes

    def node_gib(self, coordinates: Coordinates) -> float | None:
        return self.request(coordinates).memory_gib or math.inf

    def devices_said(self, coordinates: Coordinates) -> str:
        return said(self.rules, coordinates, "nodes", "gpus_per_node", "processes_per_node")


def faults(document: Document, runner: Slurm) -> Iterator[Fault]:
    """What the schema cannot say."""
    for option in runner.sbatch:
        if option in OURS:
            yield document.fault(("sbatch", option), f"'{option}' is not for [sbatch]: simclr-spec says it itself", key=True)
    places: list[tuple[Path, Request]] = [(("resources",), runner.resources)]
    places += [(("rules", n, "set"), applied(runner.resources, rule)) for n, rule in enumerate(runner.rules)]
    for path, request in places:
        if request.gpu_type and not request.gpus_per_node:
            yield document.fault(path, "gpu_type names the type of no GPUs: gpus_per_node is 0", key=True)
        if request.cpus_per_process and request.cpus_per_process < runner.threads:
            yield document.fault(
                path, f"cpus_per_process {request.cpus_per_process} is less than threads {runner.threads}", key=True
            )
        if request.minutes * 60 <= runner.grace_seconds:
            yield document.fault(
                path, f"minutes {request.minutes} is no longer than grace_seconds {runner.grace_seconds}", key=True
            )
