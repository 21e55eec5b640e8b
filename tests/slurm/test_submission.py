"""Submission that neither loses nor doubles, whoever is killed and whatever sbatch answers."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from simclr_spec.core.files import read_json, write_json
from simclr_spec.store.layout import Store
from tests import runs
from tests.slurm import tiny
from tests.slurm.cluster import Cluster

FEW = ("--set", "train_steps=5")
THOUSAND = """
title = "Thousand"
recipe = "simclrv2"
scale = "digits"
encoders = { product = { depth = [18, 34, 50, 101, 152], width = [1, 2] } }
seeds = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]

[stages.pretrain]
kind = "pretrain"

[stages.finetune]
kind = "finetune"
from = "pretrain"
labels_per_class = [1, 2, 3, 4, 5, 6, 7, 8, 9]
"""


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """A spec of one Step."""
    tiny.write(tmp_path, without=("pretrain", "finetune", "linear", "distill"))
    return tmp_path


def one_job_each(folder: Path, cluster: Cluster) -> None:
    """But for those that were cancelled before they began."""
    found = tiny.jobs(folder, cluster)
    assert all(len([state for state in states if state != "CANCELLED"]) == 1 for states in found.values()), found
    assert not tiny.strangers(folder, cluster)
    assert not [row for row in cluster.squeue() if row["reason"].startswith("JobHeld")]


@pytest.mark.parametrize(
    ("script", "variables"),
    [
        ('"$REAL" "$@" >/dev/null; echo "sbatch: error: Socket timed out on send/recv operation" >&2; exit 1', {}),
        ('"$REAL" "$@"; sleep 60', {"SIMCLR_SPEC_SLURM_SECONDS": "2"}),
        ('echo "Welcome!"; echo "17 of 100 hours used" >&2; "$REAL" "$@"; echo "have a nice day"', {}),
        ('"$REAL" "$@" >/dev/null; echo "lost in thought"', {}),
    ],
    ids=["submits and fails", "submits and hangs", "chats", "answers nothing"],
)
def test_a_job_that_was_accepted_is_found(
    script: str, variables: dict[str, str], alone: Path, cluster: Cluster, sbatch: Callable[[str], None]
) -> None:
    sbatch(script)
    done = tiny.submit(alone, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("1 Step: 1 queued.\n- job ")
    one_job_each(alone, cluster)


def test_what_was_refused_is_told_and_submitted_by_the_next_run(
    alone: Path, cluster: Cluster, sbatch: Callable[[str], None]
) -> None:
    sbatch('echo "sbatch: error: Batch job submission failed: Invalid account" >&2; exit 1')
    refused = tiny.submit(alone)
    said = "sbatch: Batch job submission failed: Invalid account; nothing was submitted\n"
    assert (refused.returncode, refused.stderr) == (1, said)
    assert not cluster.squeue()
    sbatch('"$REAL" "$@"')
    assert tiny.submit(alone).returncode == 0
    one_job_each(alone, cluster)


def test_a_job_that_arrives_late_is_taken_back(alone: Path, cluster: Cluster, sbatch: Callable[[str], None]) -> None:
    """Its sbatch outlived the run that called it; meanwhile another run submitted the Step."""
    sbatch('sleep 2; "$REAL" "$@"')
    with runs.started(alone, *tiny.options(alone)) as run:
        runs.wait_for(lambda: [*(alone / "runs").glob(".arrays/*/batch.sh")])
        time.sleep(0.3)
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        sbatch('"$REAL" "$@"')
        assert "1 queued" in tiny.submit(alone).stdout
        cluster.wait_until(lambda: len(cluster.squeue()) == 2, 10)
        assert "1 queued" in tiny.submit(alone).stdout or "1 running" in tiny.submit(alone).stdout
    cluster.wait_until(lambda: len(cluster.squeue()) < 2, 10)
    one_job_each(alone, cluster)


def test_a_run_that_was_killed_is_gone_on_with(tmp_path: Path, cluster: Cluster) -> None:
    """At four instants, until a run lives to its end."""
    for number in range(4):
        _killed_once(tmp_path, random.Random(number))
    done = tiny.submit(tmp_path, *FEW)
    assert done.returncode == 0, done.stdout + done.stderr
    one_job_each(tmp_path, cluster)
    tiny.finished(tmp_path, cluster)
    one_job_each(tmp_path, cluster)
    assert set(tiny.begun(tmp_path).values()) == {1}


def _killed_once(folder: Path, chance: random.Random) -> None:
    """SIGKILL within the part of a second in which it submits."""
    before = len([*(folder / "runs").glob(".arrays/*/array.json")])
    with runs.started(folder, *tiny.options(folder), *FEW) as run:
        end = time.monotonic() + 20
        while len([*(folder / "runs").glob(".arrays/*/array.json")]) == before and run.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.15))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_a_run_that_was_killed_is_gone_on_with_whenever(seed: int, tmp_path: Path, cluster: Cluster) -> None:
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 4)):
        _killed_once(tmp_path, chance)
    assert tiny.submit(tmp_path, *FEW).returncode == 0
    one_job_each(tmp_path, cluster)
    tiny.finished(tmp_path, cluster, 300)
    one_job_each(tmp_path, cluster)


def test_two_runs_at_once_share_their_steps(tmp_path: Path, cluster: Cluster) -> None:
    """One of a part of the plan, two of all of it; then one more, while their jobs run."""
    tiny.write(tmp_path)
    options = tiny.options(tmp_path)
    parts = [("stage=pretrain,finetune",), (), ()]
    started = [runs.start(tmp_path, *options, *FEW, *part) for part in parts]
    said = [run.communicate(timeout=60)[0] for run in started]
    assert [run.returncode for run in started] == [0, 0, 0], said
    one_job_each(tmp_path, cluster)
    assert len(tiny.jobs(tmp_path, cluster)) == 5
    cluster.wait_until(lambda: any(step.is_leased() for step in tiny.folders(tmp_path)), 60)
    again = tiny.submit(tmp_path, *FEW)
    assert again.returncode == 0, again.stdout
    assert "Nothing new was submitted" in again.stdout
    tiny.finished(tmp_path, cluster)
    one_job_each(tmp_path, cluster)


def test_a_parent_in_another_submission_is_waited_for_and_one_that_is_gone_is_not(tmp_path: Path, cluster: Cluster) -> None:
    tiny.write(tmp_path, without=("linear", "supervised", "distill"))
    assert tiny.submit(tmp_path, "stage=pretrain").returncode == 0
    [parent] = cluster.squeue()
    assert tiny.submit(tmp_path).returncode == 0
    [child] = [row for row in cluster.squeue() if row["name"].startswith("finetune")]
    assert child["dependency"] == f"afterok:{parent['id']}(unfulfilled)"

    cluster.run("scancel", parent["id"].split("_")[0], child["id"].split("_")[0])
    cluster.wait_until(lambda: not cluster.squeue())
    store = Store(tmp_path / "runs")
    [step] = [step for step in store.folders() if step.path.parent.name == "pretrain"]
    queued = read_json(step.queued)
    write_json(store.array(queued["array"]).receipt, {"job": "99999"})
    write_json(step.queued, {**queued, "job": "99999_0", "ended": None, "why": "", "after_attempt": step.last_attempt()})
    assert tiny.submit(tmp_path).returncode == 0
    assert not [row for row in cluster.squeue() if "99999" in row["dependency"]]
    assert sorted(row["name"].split("-")[0] for row in cluster.squeue()) == ["finetune", "pretrain"]


def test_odd_names_of_stores_reach_the_job(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what the shell has for sbatch does not."""
    monkeypatch.setenv("SBATCH_PARTITION", "nonsense")
    monkeypatch.setenv("SBATCH_ARRAY_INX", "7")
    folders = [tmp_path / name for name in ("a b", "50%", "x'y", "Ä-%a")]
    for folder in folders:
        folder.mkdir()
        tiny.write(folder, without=("pretrain", "finetune", "linear", "distill"))
        done = tiny.submit(folder, *FEW)
        assert done.returncode == 0, done.stderr
    for folder in folders:
        tiny.finished(folder, cluster)


def test_what_a_crash_of_the_machine_took_is_found_again_in_the_queue(alone: Path, cluster: Cluster) -> None:
    """What is in a Step's folder is not written through."""
    assert tiny.submit(alone).returncode == 0
    [step] = tiny.folders(alone)
    step.queued.unlink()
    assert "Nothing new was submitted" in tiny.submit(alone).stdout
    one_job_each(alone, cluster)


def test_a_thousand_steps_are_a_few_arrays_and_files(tmp_path: Path, cluster: Cluster) -> None:
    """benchmarks/submission.py measures how long it takes."""
    (tmp_path / "tiny.toml").write_text(THOUSAND)
    for node in cluster.names:
        cluster.drain_node(node)
    done = subprocess.run(
        [sys.executable, "-m", "simclr_spec", "run", "tiny.toml", *tiny.options(tmp_path), "--store", "runs"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("1,000 Steps: 1000 queued.\n")
    rows = cluster.squeue()
    assert (len(rows), len({row["name"] for row in rows})) == (1000, 10)
    assert len([*(tmp_path / "runs").rglob("*")]) <= 12 * 1000
    assert max(len([*step.path.rglob("*")]) for step in tiny.folders(tmp_path)) <= 12
    one_job_each(tmp_path, cluster)
