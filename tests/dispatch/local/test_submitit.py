"""Each trap of submitit's local executor that dispatch/local/submitit_jobs.py works around is still there.

A test that fails here is good news: what its message names is no longer needed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from submitit.local.local import LocalExecutor, LocalJob

from simclr_spec.dispatch.local import submitit_jobs
from simclr_spec.dispatch.local.slots import Slot

PATIENCE = 60.0


@pytest.fixture
def executor(tmp_path: Path) -> Any:
    return LocalExecutor(tmp_path)


def until(path: Path) -> float:
    """A job's work: end when the file is there."""
    while not path.exists():
        time.sleep(0.02)
    return time.time()


def gpus() -> str | None:
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def gpus_once_all_began(began: Path, jobs: int) -> str | None:
    """As `gpus`, once as many jobs as are told stand in the folder."""
    (began / str(os.getpid())).touch()
    limit = time.monotonic() + PATIENCE
    while len(list(began.iterdir())) < jobs:
        assert time.monotonic() < limit, "the jobs run one after the other"
        time.sleep(0.02)
    return gpus()


def test_every_job_begins_at_once_and_all_on_gpu_0(executor: Any, tmp_path: Path) -> None:
    executor.update_parameters(gpus_per_node=1)
    (began := tmp_path / "began").mkdir()
    jobs = [executor.submit(gpus_once_all_began, began, 3) for _ in range(3)]
    assert [job.exception() for job in jobs] == [None] * 3, "submitit queues: one job per slot is no longer needed"
    assert [job.result() for job in jobs] == ["0"] * 3, "submitit counts GPUs: an executor per slot is no longer needed"


def test_gpus_named_by_text_are_refused(executor: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not an int"):  # else `executor.parameters[...] =` is no longer needed
        executor.update_parameters(gpus_per_node=1, visible_gpus=["GPU-8a1b"])
    ours = submitit_jobs._executor(tmp_path / "ours", [Slot(0, "GPU-8a1b")])
    assert ours.submit(gpus).result() == "GPU-8a1b"


def test_a_job_ends_after_two_minutes_unless_told_otherwise(executor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []

    class NeverStarted:
        pid = 1

    def start(**given: Any) -> NeverStarted:
        limits.append(given["timeout_min"])
        return NeverStarted()

    monkeypatch.setattr("submitit.local.local.start_controller", start)
    executor._submit_command("true")
    assert limits == [2.0], "submitit's jobs have no end by default: NEVER is no longer needed"


def test_a_job_is_named_by_its_process_and_its_log_appended_to(executor: Any, tmp_path: Path) -> None:
    job = executor.submit(gpus)
    job.result()
    assert job.job_id == str(job._process.pid), "submitit names jobs itself: a folder for each is no longer needed"
    controller = (
        "import sys; from pathlib import Path; from submitit.local.local import Controller as C; c = C(Path(sys.argv[1]))"
    )
    values = {"NTASKS": "1", "COMMAND": "echo again", "TIMEOUT_S": "9", "SIGNAL_DELAY_S": "1", "WITH_SHELL": ""}
    environment = {**os.environ, **{f"SUBMITIT_LOCAL_{name}": value for name, value in values.items()}}
    again = f"{controller}; c.pid = {job.job_id!r}; c.run()"  # as a later process of that number would
    subprocess.run(
        [sys.executable, "-c", again, str(tmp_path)], env=environment | {"SUBMITIT_STDERR_TO_STDOUT": ""}, check=True
    )
    text = job.paths.stdout.read_text()
    assert text.endswith("again\n")
    assert text != "again\n", "submitit begins a new log: a folder for each job is no longer needed"


def test_a_job_counts_as_done_while_it_works_once_its_controller_is_gone(executor: Any, tmp_path: Path) -> None:
    end = tmp_path / "end"
    job = executor.submit(until, end)
    children = Path(f"/proc/{job._process.pid}/task/{job._process.pid}/children")
    limit = time.monotonic() + PATIENCE
    while not children.read_text():
        assert time.monotonic() < limit
        time.sleep(0.02)
    worker = int(children.read_text().split()[0])
    try:
        job._process.kill()
        job._process.wait()
        assert job.done(), "submitit looks at the worker itself: the connection need not tell whether it lives"
        assert Path(f"/proc/{worker}").exists()
        elsewhere: LocalJob[float] = LocalJob(tmp_path, job.job_id)
        assert elsewhere.done(), "submitit knows jobs of other processes: the lease need not tell"
    finally:
        end.touch()
