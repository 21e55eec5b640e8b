"""What doctor says of a cluster: all green where all is well, and each fault with what to do."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import simclr_spec
from tests import runs
from tests.slurm.cluster import Cluster
from tests.typed import typed

RESOURCES = 'partition = "main"\ngpus_per_node = 0\nminutes = 10\nmemory_gib = 1\n'


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path, cluster: Cluster) -> Iterator[None]:
    """Neither a job nor a file in the store."""
    yield
    assert [job["name"] for job in cluster.squeue() if "doctor" in job["name"] and job["state"] != "COMPLETING"] == []
    assert not (tmp_path / "runs").exists()


def profile(folder: Path, head: str = "", *, resources: str = RESOURCES, rules: str = "") -> str:
    text = f'kind = "slurm"\nmachine = "cpu"\ngrace_seconds = 1\n{head}\n[resources]\n{resources}\n{rules}'
    (folder / "mine.toml").write_text(text)
    return str(folder / "mine.toml")


def doctor(folder: Path, *words: str, **parts: str) -> tuple[int, list[str]]:
    """Exit code and lines."""
    code, text = typed("doctor", "--runner", profile(folder, **parts), "--store", str(folder / "runs"), *words)
    return code, text.splitlines()


def faults(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("✗")]


def test_all_is_well(tmp_path: Path, cluster: Cluster) -> None:
    """For a spec: its requests alone are looked at."""
    (tmp_path / "tiny.toml").write_text(runs.SPEC)
    low = '[[rules]]\nwhen = { kind = ["finetune", "distill"] }\nset = { partition = "low" }\n'
    other = '[[rules]]\nwhen = { stage = "another" }\nset = { partition = "nowhere" }\n'
    words = (str(tmp_path / "tiny.toml"), *runs.SMALL, "--data-root", str(tmp_path))
    with cluster.submissions_limited(4):
        code, lines = doctor(tmp_path, *words, rules=low + other)
    here = "1 node with 1 process for 10 minutes"
    plain = [re.sub(r"\d{4}-\S+ on node\d", "T", re.sub("^✓ node[1-4]|on node[1-4] may", "✓ N", line)) for line in lines]
    job = plain.pop(8)
    assert re.fullmatch(r"job \d+ looks around on a compute node; it has 300 s \(Ctrl-C cancels it\)", job), lines
    assert (code, plain[3:10]) == (
        0,
        [
            "! account root lets 4 jobs of yours be in the queue (MaxSubmitJobs), fewer than the 5 Steps of this plan: "
            "they are submitted by and by",
            "✓ a job that begins again waits for 10 s at least (cred_expire); "
            "one that is cancelled by scancel has 2 s to save (KillWait)",
            f"✓ 1 pretrain, 1 linear, 1 supervised ({here}): would begin T in partition main",
            f"✓ 1 finetune, 1 distill ({here}): would begin T in partition low",
            "✓ partition low preempts jobs (REQUEUE) after 10 s, in which a Step saves",
            "✓ N sees the store, and what it writes is seen here",
            plain[9],
        ],
    )
    assert plain[9].startswith("✓ N has the same Python 3")
    assert plain[10:] == ["✓ a process ✓ N use the 1 core that it asks for"]


def test_each_request_that_cannot_be_met_is_told_before_a_job_is_tried(tmp_path: Path) -> None:
    wrong = {
        "pretrain": 'partition = "nowhere"',
        "finetune": "memory_gib = 900",
        "linear": 'partition = "short"',
        "distill": 'account = "nobody"',
        "supervised": 'constraint = "a100"',
        "large": "nodes = 9",
    }
    rules = "".join(f'[[rules]]\nwhen = {{ stage = "{stage}" }}\nset = {{ {what} }}\n' for stage, what in wrong.items())
    code, lines = doctor(tmp_path, rules=rules)
    told = [re.sub(r" \(\d+ nodes? with 1 process for 10 minutes\)", "", line) for line in faults(lines)]
    assert (code, told) == (
        1,
        [
            "✗ stage=pretrain: sbatch: allocation failure: Invalid partition name specified: "
            "`sinfo --summarize` lists partitions",
            "✗ stage=finetune: sbatch: allocation failure: Requested node configuration is not available: "
            "`sinfo --Node --format='%N %c %m %G'` lists cores, memory (MB) and GPUs of nodes",
            "✗ stage=linear: partition short ends jobs after 1 minute, so Slurm would never begin it: set `minutes` to that",
            "✗ stage=distill: sbatch: allocation failure: Invalid account or account/partition combination specified: "
            "`sacctmgr show assoc user=$USER format=account,partition,qos` lists yours",
            "✗ stage=supervised: sbatch: allocation failure: Invalid feature specification: "
            "`sinfo --format='%n %f'` lists the features of nodes",
            "✗ stage=large: sbatch: allocation failure: Requested node configuration is not available: "
            "`sinfo --Node --format='%N %c %m %G'` lists cores, memory (MB) and GPUs of nodes",
        ],
    )
    assert lines[-1] == "! no job is tried on a compute node before that is mended"


def test_what_a_node_lacks(tmp_path: Path) -> None:
    """One core instead of two, no GPU for torch, no scontrol, other code, and a Python that is there in a container only."""
    (programs := tmp_path / "bin").mkdir()
    for name in ("srun", "git"):
        (programs / name).symlink_to(str(shutil.which(name)))
    shutil.copytree(Path(simclr_spec.__file__).parent, tmp_path / "old" / "simclr_spec")
    (inside := programs / "inside").write_text(f'#!/bin/sh\n[ "$SLURM_LAUNCH_NODE_IPADDR" ] && exec {sys.executable} "$@"\n')
    inside.chmod(0o755)
    head = (
        "threads = 2\n"
        f'python = "{shutil.which("taskset")} --cpu-list 0 {inside}"\n'
        f'setup = ["export PATH={programs} PYTHONPATH={tmp_path}/old"]\n'
    )
    code, lines = doctor(tmp_path, head=head, resources='partition = "main"\ngpus_per_node = 1\nminutes = 10\nmemory_gib = 2\n')
    told = [re.sub("node[1-4]", "N", line) for line in faults(lines)]
    assert (code, len(told)) == (1, 5), lines
    assert told[0].startswith("✗ N has simclr-spec ")
    assert told[0].endswith(": use one environment, by `python` or `setup`")
    assert told[1].startswith(
        "✗ jobs on N have no scontrol in their PATH, so that no Step could begin again: add its folder in"
    )
    assert told[2].startswith(
        "✗ `python` of the runner has no simclr_spec on N where srun has not begun (in no container), so "
    )
    assert told[3].startswith("✗ a process on N may use 1 of the 2 cores that it asks for: ask for fewer `threads`, or bind")
    assert told[4].startswith("✗ torch sees no GPU on N: it needs its driver, ")


@pytest.mark.parametrize(
    ("python", "said"),
    [("/nowhere/python", "No such file or directory"), ("env -i /bin/sh -c 'exit 3' --", "task 0: Exited with exit code 3")],
)
def test_a_python_that_does_not_start(tmp_path: Path, python: str, said: str) -> None:
    code, lines = doctor(tmp_path, head=f'python = "{python}"')
    assert code == 1
    assert re.fullmatch(rf"✗ Python does not start on node\d \(.*({said}).*\): mend `python` or `setup`", lines[-1]), lines


def test_a_job_that_does_not_begin_is_not_waited_for_for_ever(tmp_path: Path, cluster: Cluster) -> None:
    cluster.sbatch("sleep 600", "--nodes=4", "--exclusive")
    code, lines = doctor(tmp_path, "--wait", "1")
    assert (code, lines[-1]) == (
        0,
        "! the job did not begin within 1 s (Resources): nothing is known of compute nodes; --wait says how long to wait",
    )


def test_ctrl_c_cancels_the_job(tmp_path: Path, cluster: Cluster) -> None:
    cluster.sbatch("sleep 600", "--nodes=4", "--exclusive")
    command = [sys.executable, "-m", "simclr_spec", "doctor", "--runner", profile(tmp_path), "--store", str(tmp_path / "runs")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ) as process:
        cluster.wait_until(lambda: [job for job in cluster.squeue() if job["reason"] in ("Resources", "Priority")])
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130


def test_a_cluster_without_accounting_and_arrays(tmp_path: Path, another_cluster: Callable[..., Cluster]) -> None:
    another_cluster(extra="MaxArraySize=0\nMinJobAge=77")
    code, lines = doctor(tmp_path)
    assert code == 1
    assert lines[1].startswith(
        "! no accounting (sacct: Slurm accounting storage is disabled): how a job ended is known for 77 s "
    )
    assert faults(lines)[0] == "✗ this cluster takes no job arrays (MaxArraySize 0): ask its administrators for them"


def test_slurm_that_cannot_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (broken := tmp_path / "slurm.conf").write_text("Nonsense=1\n")
    with monkeypatch.context() as patch:
        patch.setenv("SLURM_CONF", str(broken))
        code, lines = doctor(tmp_path)
        assert (code, [line.startswith("✗ scontrol: ") for line in lines]) == (1, [True]), lines
        patch.setenv("PATH", str(tmp_path))
        assert doctor(tmp_path) == (1, ["✗ this machine has no scontrol: is it a login node of the cluster?"])
    assert typed("doctor", "--runner", "local") == (
        0,
        "a runner of kind local has no cluster: `simclr-spec doctor` looks at this machine\n",
    )
    assert typed("doctor", "quickstart") == (2, "doctor looks at a spec beside --runner only\n")
