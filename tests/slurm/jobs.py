"""Steps in jobs of the throw-away cluster: how tests submit them, wait for them and disturb them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from simclr_spec.core.files import read_json
from simclr_spec.core.states import State
from simclr_spec.dispatch.slurm import ledger
from simclr_spec.plan import Step, compile
from simclr_spec.store.layout import RunFolder, Store
from tests import runs
from tests.slurm.cluster import Cluster

PROFILE = """
kind = "slurm"
machine = "cpu"
grace_seconds = 5
{more}

[resources]
partition = "{partition}"
gpus_per_node = {gpus}
minutes = {minutes}
memory_gib = 1
{resources}

[retries]
{retries}
"""
SUPERVISED = """
title = "Alone"
recipe = "simclrv2"
scale = "digits"
encoders = [{{ depth = 18, width = 1, sk = false }}]
seeds = {seeds}

[stages.supervised]
kind = "supervised"
labels_per_class = [2]
train_steps = {train_steps}
"""
CHAIN = """
title = "Parent and child"
recipe = "simclrv2"
scale = "digits"
encoders = [{{ depth = 18, width = 1, sk = false }}]
seeds = [0]

[stages.pretrain]
kind = "pretrain"
train_steps = {train_steps}

[stages.finetune]
kind = "finetune"
from = "pretrain"
labels_per_class = [1]
train_steps = 20
"""


def profile(
    folder: Path,
    *,
    partition: str = "main",
    minutes: int = 10,
    gpus: int = 0,
    resources: str = "",
    retries: str = "",
    more: str = "",
    name: str = "slurm.toml",
) -> None:
    """A runner file, which `submit` uses."""
    text = PROFILE.format(partition=partition, minutes=minutes, gpus=gpus, resources=resources, retries=retries, more=more)
    (folder / name).write_text(text)


def spec(folder: Path, text: str) -> Path:
    """As the spec that runs.run takes."""
    (folder / "tiny.toml").write_text(text)
    return folder


def submit(folder: Path, *options: str, name: str = "run", code: int = 0) -> str:
    """What `run` (or `retry`) with the profile said."""
    done = runs.run(folder, *options, "--runner", str(folder / "slurm.toml"), name=name)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def status(folder: Path) -> str:
    """What it says, though Slurm was asked a moment ago."""
    Store(folder / "runs").asked.unlink(missing_ok=True)
    done = runs.run(folder, name="status")
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def steps(folder: Path) -> list[Step]:
    return list(compile([str(folder / "tiny.toml")], sets=runs.sets()).steps)


def folders(folder: Path) -> list[RunFolder]:
    """Of its Steps, in the plan's order."""
    return [Store(folder / "runs").folder(step.id) for step in steps(folder)]


def job(of: RunFolder) -> str:
    queued = of.queued_as()
    assert queued
    return queued.job


def ends(of: RunFolder) -> list[str]:
    """Why its job began again, each time."""
    queued = of.queued_as()
    assert queued
    return [end["why"] for end in ledger.ends(of.store.array(queued.array), queued.index)]


def states(folder: Path) -> list[State]:
    return [of.state() for of in folders(folder)]


def process(of: RunFolder) -> int | None:
    """That trains the Step, once it has written a checkpoint in its newest attempt."""
    for attempt in of.attempts()[-1:]:
        record = read_json(attempt.record)
        if record and record["state"] == "running" and attempt.checkpoint.exists() and of.is_leased():
            return int(record["pid"])
    return None


def training(cluster: Cluster, of: RunFolder) -> int:
    """As soon as there is one."""
    pid = cluster.wait_until(lambda: process(of), 120)
    assert pid
    return pid


def ended(cluster: Cluster, *jobs: str, seconds: float = 300) -> None:
    """Until they have left the queue."""
    cluster.wait_until(lambda: not {row["id"] for row in cluster.squeue()} & set(jobs), seconds)


def done_by_one(of: RunFolder) -> bool:
    """The Step has one result, of one attempt, and no checkpoint is left."""
    winners = [a for a in of.attempts() if a.result.exists() and os.path.samefile(a.result, of.result)]
    return of.done and len(winners) == 1 and not [a for a in of.attempts() if a.checkpoint.exists()]


def calls(folder: Path, program: str) -> Path:
    """A folder for PATH whose `program` is the real one, but writes its arguments into the returned file, too."""
    real = subprocess.run(["which", program], capture_output=True, text=True, check=True).stdout.strip()
    (folder / "bin").mkdir(exist_ok=True)
    counted = folder / "bin" / f"{program}.calls"
    fake = folder / "bin" / program
    fake.write_text(f'#!/bin/sh\necho "$*" >>{counted}\nexec {real} "$@"\n')
    fake.chmod(0o755)
    return counted
