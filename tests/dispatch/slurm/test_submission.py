"""What sbatch is told, and what its answers mean; `python -m tests.dispatch.slurm.test_submission` writes the golden script."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from simclr_spec.dispatch.slurm import commands
from simclr_spec.dispatch.slurm.commands import Full, NoAnswer
from simclr_spec.dispatch.slurm.submission import Submission, job_id, refusal
from simclr_spec.language.runner import Request, Slurm

GOLDEN = Path(__file__).parents[2] / "golden" / "sbatch.sh"
REQUEST = Request(partition="gpu", account="vision", qos="long", constraint="a&b", nodes=2, gpus_per_node=8, memory_gib=512)
RUNNER = Slurm(
    threads=8,
    setup=("module load cuda", "ulimit -l unlimited"),
    srun=("--mpi=none",),
    sbatch={"reservation": "mine"},
    parallelism=4,
)
FOLDER = Path("/store/a b/.arrays/pretrain-1")
SUBMISSION = Submission(
    name="pretrain-1",
    folder=FOLDER,
    indices="0-4,7",
    request=REQUEST,
    runner=RUNNER,
    after=["aftercorr:1234", "afterok:1235_3"],
    exclude=["node7", "node9"],
    python="apptainer exec --nv image.sif python",
)


def test_golden_script() -> None:
    assert SUBMISSION.text() == GOLDEN.read_text()


def test_gpus_of_a_type_and_none_at_all() -> None:
    typed = replace(SUBMISSION, request=replace(REQUEST, gpu_type="h200")).text()
    assert "#SBATCH --gpus-per-node=h200:8\n" in typed
    without = replace(SUBMISSION, request=Request(gpus_per_node=0, processes_per_node=3), after=(), exclude=()).text()
    assert "#SBATCH --ntasks-per-node=3\n" in without
    assert not [word for word in ("gpu", "dependency", "exclude", "mem", "partition") if f"--{word}" in without]


@pytest.mark.parametrize(
    "answer",
    [
        "1234",
        "1234\n",
        "1234;cluster",
        "Submitted batch job 1234",
        "Submitted batch job 1234 on cluster big-one",
        "Welcome to BIG ONE\nYou have used 17 of 100 hours\n1234\n",
        "1234\nYour group has 3 jobs left.\nsbatch: have a nice day\n",
        "quota: 12\n  99 % used\n1234;big.one\n",
    ],
)
def test_the_id_is_read_whatever_a_site_prints_around_it(answer: str) -> None:
    assert job_id(answer) == "1234"


@pytest.mark.parametrize("answer", ["", "Have a nice day", "job 1234 was not submitted", "12.34"])
def test_without_an_id_the_answer_is_told(answer: str) -> None:
    with pytest.raises(NoAnswer, match="sbatch answered without a job's id"):
        job_id(answer)


POLICY = "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy"


@pytest.mark.parametrize(
    ("said", "full", "told"),
    [
        (f"sbatch: error: AssocMaxSubmitJobLimit\n{POLICY} (job submit limit, user's size)", True, "AssocMaxSubmitJobLimit"),
        (f"sbatch: error: QOSMaxSubmitJobPerUserLimit\n{POLICY}", True, "QOSMaxSubmitJobPerUserLimit"),
        (f"{POLICY} (job submit limit)", True, "Batch job submission failed: Job violates accounting/QOS policy (job"),
        ("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying", True, "Slurm temporarily unable"),
        ("sbatch: error: Batch job submission failed: Resource temporarily unavailable", True, "Batch job submission failed"),
        (f"sbatch: error: QOSMaxCpuPerJobLimit\n{POLICY}", False, "sbatch: QOSMaxCpuPerJobLimit: Batch job submission failed"),
        ("sbatch: error: invalid partition specified: x\nsbatch: error: Batch job submission failed: Invalid partition", False,
         "sbatch: invalid partition specified: x: Batch job submission failed: Invalid partition"),
        ("Socket timed out on send/recv operation", False, "sbatch: Socket timed out on send/recv operation"),
        ("", False, "sbatch: no word"),
    ],
)  # fmt: skip
def test_only_a_limit_of_their_number_makes_arrays_smaller(said: str, full: bool, told: str) -> None:
    error = refusal(said)
    assert isinstance(error, Full) is full
    assert str(error).startswith(told)


LEAKING = {
    "SBATCH_ACCOUNT": "wrong",
    "SBATCH_PARTITION": "wrong",
    "SLURM_JOB_ID": "1",
    "SLURM_ARRAY_TASK_ID": "3",
    "SLURMD_NODENAME": "node1",
    "SRUN_DEBUG": "1",
    "SUBMITIT_EXECUTOR": "slurm",
    "CUDA_VISIBLE_DEVICES": "7",
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "3",
    "MASTER_ADDR": "elsewhere",
    "MASTER_PORT": "1",
    "SIMCLR_SPEC_SINCE": "1.0",
}
STAYING = {"SLURM_CONF": "/etc/slurm.conf", "SLURM_JWT": "token", "SIMCLR_SPEC_DATA": "/data", "RANKLE": "a word of its own"}


def test_a_shells_options_job_and_ranks_do_not_leak_into_a_submission(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**LEAKING, **STAYING}.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    with commands.clean():
        cleaned = dict(os.environ)
    assert not LEAKING.keys() & cleaned.keys()
    assert cleaned.items() >= STAYING.items()
    assert cleaned.keys() == before.keys() - LEAKING.keys()
    assert dict(os.environ) == before


if __name__ == "__main__":
    GOLDEN.write_text(SUBMISSION.text())
