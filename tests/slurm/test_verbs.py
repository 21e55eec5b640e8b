"""What a person asks and orders while jobs wait and run: status, logs, cancel, retry."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from simclr_spec.store.layout import Store
from tests import runs
from tests.slurm import jobs
from tests.slurm.cluster import Cluster

CHAIN = jobs.CHAIN.format(train_steps=1200)


@contextlib.contextmanager
def following(folder: Path, *words: str, name: str) -> Iterator[Path]:
    """The file that `status --watch` or `logs -f` writes; it goes on until it ends by itself, or the test is over."""
    printed = folder / f"{name}.txt"
    with printed.open("w") as file:
        process = subprocess.Popen(runs.command(folder, *words, name=name), stdout=file, stderr=file, env=runs.environment())
    try:
        yield printed
        assert process.wait(60) == 0, printed.read_text()
    finally:
        process.kill()


def test_status_and_logs_follow_jobs_over_requeues_and_cancel_stops_them(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = jobs.calls(tmp_path, "squeue")
    jobs.profile(jobs.spec(tmp_path, CHAIN), retries="killed = 1")
    jobs.submit(tmp_path)
    pretrain, finetune = jobs.folders(tmp_path)
    monkeypatch.setenv("PATH", f"{asked.parent}:{os.environ['PATH']}")
    began = time.time()
    with following(tmp_path, "--watch", name="status") as watched, following(tmp_path, "-f", name="logs") as followed:
        os.kill(jobs.training(cluster, pretrain), signal.SIGKILL)
        cluster.wait_until(lambda: pretrain.last_attempt() == 2, 90)
        jobs.training(cluster, pretrain)
        cluster.wait_until(lambda: "▸ pretrain r18-1x-digits-s0" in watched.read_text(), 60)
        cancelled = runs.run(tmp_path, "stage=pretrain", name="cancel")
        assert "pretrain r18-1x-digits-s0: asked to stop; its checkpoint stays\n" in cancelled.stdout
        jobs.ended(cluster, jobs.job(pretrain), jobs.job(finetune))
    questions = [line for line in asked.read_text().splitlines() if "--states=all" in line]
    assert 2 <= len(questions) <= (time.time() - began) / 10 + 3, "whoever asks, once in ten seconds; and once for the cancel"
    text = followed.read_text()
    assert [f"{attempt.log}\n" in text for attempt in pretrain.attempts()] == [True, True]
    assert "goes on from train step" in text
    assert "interrupted" in text.splitlines()[-1], "to the last line"
    told = jobs.status(tmp_path)
    assert jobs.states(tmp_path) == ["interrupted", "new"], told
    assert cluster.sacct(f"--jobs={jobs.job(pretrain)}")[0]["ExitCode"] == "79:0"


def of_store(folder: Path) -> str:
    """`status` of all that is in the store."""
    (store := Store(folder / "runs")).asked.unlink(missing_ok=True)
    words = [*runs.command(folder)[:3], "status", "--store", str(store.path)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_of_jobs_that_wait_the_unneeded_are_told_and_cancelled_ones_leave_the_queue(cluster: Cluster, tmp_path: Path) -> None:
    for node in cluster.names:
        cluster.drain_node(node)
    jobs.profile(jobs.spec(tmp_path, jobs.SUPERVISED.format(seeds=[0, 1, 2], train_steps=9)))
    jobs.submit(tmp_path)
    zero, one, two = jobs.folders(tmp_path)
    assert "in no spec" not in jobs.status(tmp_path)
    jobs.spec(tmp_path, jobs.SUPERVISED.format(seeds=[0, 1], train_steps=9))
    told = of_store(tmp_path)
    option = f" --store {tmp_path / 'runs'}"
    command = f"simclr-spec cancel fingerprint={two.path.name[-8:]}{option}"
    assert told.endswith(f"1 Step queued or running is in no spec as it stands now; `{command}` stops them\n")
    assert zero.state() == one.state() == two.state() == "queued", "shown, and never cancelled unasked"

    done = subprocess.run([*runs.command(tmp_path)[:3], *command.split()[1:]], capture_output=True, text=True, check=True)
    assert done.stdout == "supervised r18-1x-digits-2pc-s2: taken out of the queue\n"
    jobs.ended(cluster, jobs.job(two))
    told = of_store(tmp_path)
    assert f"‖ supervised r18-1x-digits-2pc-s2: job {jobs.job(two)} was cancelled" in told
    assert [zero.state(), one.state(), two.state()] == ["queued", "queued", "interrupted"]
    assert "in no spec" not in told


def test_a_jobs_own_log_is_shown_where_no_attempt_began(cluster: Cluster, tmp_path: Path) -> None:
    jobs.profile(jobs.spec(tmp_path, jobs.SUPERVISED.format(seeds=[0], train_steps=9)), more='python = "no-such-python"')
    jobs.submit(tmp_path)
    (of,) = jobs.folders(tmp_path)
    jobs.ended(cluster, jobs.job(of))
    told = jobs.status(tmp_path)
    log = Store(tmp_path / "runs").array(of.queued_as().array).log(0)  # type: ignore[union-attr]
    assert f"✗ supervised r18-1x-digits-2pc-s0: job {jobs.job(of)} ended without a word of the training: " in told
    assert f"    {log}\n" in told
    shown = runs.run(tmp_path, name="logs").stdout
    assert shown.startswith(f"supervised r18-1x-digits-2pc-s0 (failed): {log}\n")
    assert "no-such-python" in shown
