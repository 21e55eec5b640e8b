"""What doctor makes of what Slurm and a compute node say, where no cluster of the tests says it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from simclr_spec.dispatch.slurm import ledger, preflight, visit
from simclr_spec.dispatch.slurm.commands import Job
from simclr_spec.dispatch.slurm.trial import Trial, small
from simclr_spec.language.machine import read_machine
from simclr_spec.language.runner import Request, Rule, Slurm
from simclr_spec.store.arrays import ArrayFolder
from simclr_spec.store.layout import Store

PARTITION = {"PartitionName": "gpu", "MaxTime": "1-00:00:00", "MaxNodes": "4", "State": "UP", "PreemptMode": "OFF"}
GIB = 2**30


@pytest.mark.parametrize(
    ("text", "wanted"), [("00:01:00", 1), ("12:30:00", 750), ("2-00:00:00", 2880), ("UNLIMITED", None), ("NONE", None)]
)
def test_times_as_slurm_writes_them(text: str, wanted: int | None) -> None:
    assert preflight.minutes(text) == wanted


@pytest.mark.parametrize(
    ("request_", "changes", "fault"),
    [
        (Request(minutes=1440, nodes=4), {}, ""),
        (
            Request(minutes=1441),
            {},
            "partition gpu ends jobs after 1,440 minutes, so Slurm would never begin it: set `minutes`",
        ),
        (Request(nodes=5), {}, "partition gpu gives 4 nodes at most: set `nodes` to that"),
        (Request(), {"State": "DRAIN"}, "partition gpu is DRAIN: name another in `partition`"),
        (Request(minutes=525_600, nodes=10_000), {"MaxTime": "UNLIMITED", "MaxNodes": "UNLIMITED"}, ""),
    ],
)
def test_a_job_that_slurm_would_let_wait_for_ever(request_: Request, changes: Mapping[str, str], fault: str) -> None:
    found = preflight._fault({**PARTITION, **changes}, request_)
    assert found.startswith(fault)
    assert bool(found) == bool(fault)


@pytest.mark.parametrize(
    ("mode", "grace", "type_", "lines"),
    [
        ("OFF", "0", "preempt/partition_prio", []),
        ("REQUEUE", "0", "preempt/none", []),
        ("REQUEUE", "0", "(null)", []),
        ("SUSPEND,GANG", "0", "preempt/partition_prio", []),
        ("REQUEUE", "60", "preempt/qos", ["✓ partition gpu preempts jobs (REQUEUE) after 60 s, in which a Step saves"]),
        (
            "REQUEUE",
            "0",
            "preempt/qos",
            [
                "! partition gpu gives a job 0 s to save before others get its nodes (GraceTime), less than grace_seconds 60: "
                "600 s of training (checkpoint_seconds) may be done again"
            ],
        ),
        (
            "CANCEL",
            "60",
            "preempt/qos",
            ["! partition gpu ends jobs for others (PreemptMode CANCEL): call `run` again to go on with their Steps"],
        ),
    ],
)
def test_preemption(mode: str, grace: str, type_: str, lines: list[str]) -> None:
    runner = Slurm(grace_seconds=60, checkpoint_seconds=600)
    partition = {**PARTITION, "PreemptMode": mode, "GraceTime": grace}
    assert list(preflight._preemption(partition, {"PreemptType": type_}, runner)) == lines


def test_every_request_of_a_profile_is_looked_at_once() -> None:
    """Whatever the condition; the last rule that asks for the same is not asked again."""
    rules = (
        Rule(when={"kind": ["finetune", "linear_eval"]}, set={"nodes": 2}),
        Rule(when={"stage": "distill"}, set={"nodes": 2}),
        Rule(when={"stage": "pretrain"}, set={"nodes": 1}),
    )
    assert [str(asked) for asked in preflight.requests(Slurm(rules=rules), [])] == [
        "every other Step (1 node with 1 GPU for 1,440 minutes)",
        "kind=finetune,linear_eval (2 nodes with 1 GPU for 1,440 minutes)",
    ]


def trial(tmp_path: Path, request: Request, machine: str | None = None) -> Trial:
    return Trial(
        runner=Slurm(threads=2),
        store=Store(tmp_path),
        request=request,
        machine=read_machine(machine) if machine else None,
        wait=1.0,
        tell=print,
    )


@pytest.mark.parametrize(
    ("machine", "gpu", "line"),
    [
        ("h200", ["NVIDIA H200", 140 * GIB], "✓ n1 has NVIDIA H200, 150 GB, as `machine` says"),
        (None, ["NVIDIA H200", 140 * GIB], "✓ n1 has NVIDIA H200, 150 GB; name it by `machine` for estimates of its own"),
        ("a100", ["NVIDIA A100-SXM4-40GB", 40 * GIB], "✗ n1 has NVIDIA A100-SXM4-40GB, 43 GB, and `machine` promises 79 GiB: "),
        (
            "h200",
            ["NVIDIA A100-SXM4-80GB", 79 * GIB],
            "✗ n1 has NVIDIA A100-SXM4-80GB, 85 GB, but hours and memory are estimated ",
        ),
        (
            "cpu",
            ["NVIDIA H200", 140 * GIB],
            "✗ n1 has NVIDIA H200, 150 GB, but hours and memory are estimated for one CPU core: ",
        ),
    ],
)
def test_a_gpu_is_held_against_the_machine(tmp_path: Path, machine: str | None, gpu: list[object], line: str) -> None:
    seen = {
        "node": "n1",
        "scontrol": "/usr/bin/scontrol",
        "software": visit.software(),
        "outside": "yes",
        "cores": 2,
        "lacking": [],
        "torch_fault": "",
    }
    *_, last = trial(tmp_path, Request(), machine)._found({**seen, "gpus": [gpu]})
    assert last.startswith(line)


def test_what_a_node_sees_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The visitor's own answer, of a node without the data."""
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    folder = ArrayFolder(tmp_path)
    folder.intent.write_text(json.dumps({"folders": [str(tmp_path), "/nowhere/imagenet"]}))
    visit.main(folder, "", "")
    lines = list(trial(tmp_path, Request(gpus_per_node=0))._found(json.loads(folder.receipt.read_text())))
    assert [line for line in lines if line.startswith("✗")] == [
        "✗ jobs on n1 have no scontrol in their PATH, so that no Step could begin again: "
        "add its folder in `setup`, as `export PATH=$PATH:/opt/slurm/bin`",
        "✗ `python` of the runner has no simclr_spec on n1 where srun has not begun (in no container), so that no Step "
        "could begin again: name one that has it there, too",
        "✗ n1 does not see /nowhere/imagenet: put the data where compute nodes see it, and name it by --data-root",
    ]


def test_a_node_that_does_not_see_the_store(tmp_path: Path) -> None:
    """Its job cannot even write its log."""
    folder = Store(tmp_path).array("x")
    end = Job("doctor", "7", 0, "FAILED", nodes="n1")
    line = trial(tmp_path, Request())._nothing(folder, end)
    assert line == f"✗ n1 does not see {tmp_path}: use a --store that compute nodes share with this machine"
    taken = Job("doctor", "7", 0, "CANCELLED")
    line = trial(tmp_path, Request())._nothing(folder, taken)
    assert line == "✗ the job was CANCELLED before it began: ask who did that, and call again"


def test_the_last_words_of_a_job(tmp_path: Path) -> None:
    folder = ArrayFolder(tmp_path)
    assert ledger.last_words(folder, 0) == ""
    exit_, launch = (
        "srun: error: n1: task 0: Exited with exit code 1",
        "srun: launch/slurm: _step_signal: Terminating StepId=1.0",
    )
    for text, last in (
        (f"Traceback\nModuleNotFoundError: no torch\n{exit_}\n{launch}\n", "ModuleNotFoundError: no torch"),
        (f"{exit_}\n{launch}\n", exit_),
        ("\n", ""),
    ):
        folder.log(0).write_text(text)
        assert ledger.last_words(folder, 0) == last


def test_the_trial_asks_for_little() -> None:
    asked = Request(nodes=4, gpus_per_node=8, memory_gib=512, cpus_per_process=7, partition="gpu")
    assert small(asked) == Request(gpus_per_node=1, memory_gib=8, minutes=5, cpus_per_process=7, partition="gpu")
    assert small(Request(gpus_per_node=0, processes_per_node=4, minutes=2)) == Request(gpus_per_node=0, minutes=2)
