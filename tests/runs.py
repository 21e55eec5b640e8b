"""Real runs of a tiny spec in processes of their own."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from safetensors.torch import load_file

from simclr_spec.core.files import read_json
from simclr_spec.plan import compile
from simclr_spec.store.layout import Store

SPEC = """
title = "Tiny"
recipe = "simclrv2"
scale = "digits"
encoders = [{ depth = 18, width = 1, sk = false }]
seeds = [0]

[stages.pretrain]
kind = "pretrain"
train_steps = 100

[stages.finetune]
kind = "finetune"
from = "pretrain"
labels_per_class = [1]
train_steps = 40

[stages.linear]
kind = "linear_eval"
from = "pretrain"
label_fraction = [1.0]
train_steps = 40

[stages.supervised]
kind = "supervised"
labels_per_class = [2]
train_steps = 100

[stages.distill]
kind = "distill"
teacher = "finetune"
train_steps = 40
"""
SMALL = ("--set", "encoder.base_width=2", "--set", "batch=16", "--set", "test_images=20")
PATIENCE = 120.0
"""Seconds; processes that import torch on a busy machine."""


def sets(*more: str) -> list[str]:
    """What `compile` is told for a run with the options SMALL and `more`."""
    return [option for option in (*SMALL, *more) if option != "--set"]


def command(folder: Path, *options: str, name: str = "run") -> list[str]:
    """`simclr-spec run tiny.toml` with the store folder/runs, in small."""
    if not (folder / "tiny.toml").exists():
        (folder / "tiny.toml").write_text(SPEC)
    small = SMALL if name in ("run", "plan", "status", "cancel", "logs") else ()
    where = ("--store", str(folder / "runs"))
    spec = () if name in ("gc", "retry", "doctor") else (str(folder / "tiny.toml"),)
    return [sys.executable, "-m", "simclr_spec", name, *spec, *small, *where, *options]


def environment(**values: str) -> Mapping[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "SIMCLR_SPEC_CHECKPOINT_STEPS": "1", **values}


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    """In a process group of its own, as a shell would."""
    out = subprocess.PIPE
    return subprocess.Popen(
        command(folder, *options), stdout=out, stderr=subprocess.STDOUT, text=True, env=environment(), start_new_session=True
    )


@contextlib.contextmanager
def started(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """As `start`; whatever becomes of the test, nothing of it goes on."""
    process = start(folder, *options)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run(folder: Path, *options: str, name: str = "run") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, *options, name=name), capture_output=True, text=True, env=environment(), timeout=300, check=False
    )


def wait_for(what: Callable[[], object], patience: float = PATIENCE) -> None:
    end = time.monotonic() + patience
    while not what():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def working(folder: Path, kind: str) -> int | None:
    """Process id of the worker that has checkpointed a Step of this kind and works on it."""
    for run_folder in Store(folder / "runs").folders():
        if run_folder.path.parent.name == kind and not run_folder.done:
            for attempt in run_folder.attempts()[-1:]:
                record = read_json(attempt.record)
                alive = record and record["state"] == "running" and run_folder.is_leased()
                if alive and attempt.checkpoint.exists():
                    return int(record["pid"])
    return None


def workers(runner: int) -> list[int]:
    """Processes of a runner that train: the children of its children."""
    return [pid for child in children(runner) for pid in children(child)]


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def weights(folder: Path, *more: str, only: str = "") -> dict[str, str]:
    """Step -> SHA-256 of its tensors, names and bytes; of all Steps, or of one by its id."""
    store, found = Store(folder / "runs"), {}
    for step in compile([str(folder / "tiny.toml")], sets=sets(*more)).steps:
        if only not in ("", step.id):
            continue
        sha = hashlib.sha256()
        for name, tensor in sorted(load_file(store.folder(step.id).weights).items()):
            sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            sha.update(tensor.numpy().tobytes())
        found[step.id] = sha.hexdigest()
    return found
