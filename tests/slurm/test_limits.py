"""Where a site takes a part of the plan only: whole chains, and a small last job that submits the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from simclr_spec.core.files import read_json
from simclr_spec.store.layout import Store
from tests.slurm import tiny
from tests.slurm.cluster import Cluster


def tails(folder: Path) -> list[str]:
    """What the jobs that submitted the rest have printed."""
    store = Store(folder / "runs")
    return [store.array(path.name).log(0).read_text() for path in sorted(store.arrays.glob("rest-*"))]


def no_orphans(folder: Path) -> None:
    """No Step is queued whose parents are not."""
    for step in tiny.folders(folder):
        if step.queued.exists():
            needs = read_json(step.step)["needs"].values()
            assert all(Store(folder / "runs").folder(need["folder"]).queued.exists() for need in needs)


def test_a_plan_goes_through_a_narrow_limit_in_slices(tmp_path: Path, cluster: Cluster) -> None:
    """Nine Steps where five jobs may be queued, of which one is another's for a while."""
    tiny.write(tmp_path, seeds=(0, 1, 2), without=("linear", "distill"))
    cluster.sbatch("sleep 30")
    with cluster.submissions_limited(5):
        first = tiny.submit(tmp_path, "--set", "train_steps=10")
        assert first.returncode == 0, first.stdout + first.stderr
        assert "when there is room (AssocMaxSubmitJobLimit)" in first.stdout
        no_orphans(tmp_path)
        assert len(cluster.squeue()) == 5
        again = tiny.submit(tmp_path, "--set", "train_steps=10")
        assert (again.returncode, len(cluster.squeue())) == (0, 5), "one last job is enough"
        tiny.finished(tmp_path, cluster, 240)
    found = tiny.jobs(tmp_path, cluster)
    assert set(tiny.begun(tmp_path).values()) == {1}
    assert all(states.count("COMPLETED") == 1 for states in found.values()), found
    assert len(found) == 9
    assert len(tails(tmp_path)) >= 2


def test_a_runner_that_says_how_many_gets_whole_chains(tmp_path: Path, cluster: Cluster) -> None:
    """Without a last job the rest waits for a person."""
    tiny.write(tmp_path, seeds=(0, 1), without=("linear",))
    tiny.options(tmp_path, "max_jobs = 4\nsubmit_from_jobs = false")
    cluster.sbatch("sleep 60")
    done = tiny.submit(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "8 Steps: 3 queued, 5 not run.\n" in done.stdout
    assert "- 3 submitted, 5 wait for the next `run` (max_jobs = 4)\n" in done.stdout
    queued = {(step.path.parent.name, step.path.name.split("-")[-2]) for step in tiny.folders(tmp_path) if step.queued.exists()}
    assert queued == {("pretrain", "s0"), ("finetune", "s0"), ("distill", "s0")}
    no_orphans(tmp_path)


def test_without_any_room_nothing_is_submitted_and_the_next_run_goes_on(tmp_path: Path, cluster: Cluster) -> None:
    tiny.write(tmp_path, without=("linear", "distill"))
    with cluster.submissions_limited(1):
        cluster.sbatch("sleep 60")
        done = tiny.submit(tmp_path)
        assert done.returncode == 1, done.stderr
        assert "- 0 submitted, 3 wait for the next `run` (AssocMaxSubmitJobLimit)\n" in done.stdout
        assert len(cluster.squeue()) == 1
    assert "3 queued" in tiny.submit(tmp_path).stdout


def test_a_last_job_leaves_alone_what_failed_since_a_person_asked(tmp_path: Path, cluster: Cluster) -> None:
    """Else it would submit it again and again."""
    tiny.write(tmp_path, seeds=(0, 1), without=("linear", "distill"))
    tiny.options(tmp_path, "max_jobs = 4")
    done = tiny.submit(tmp_path, "--set", "train_steps=5", "--set", "pretrain.learning_rate=1e30")
    assert (done.returncode, "3 queued, 3 to be submitted" in done.stdout) == (0, True), done.stdout
    cluster.wait_until(lambda: not cluster.squeue(), 200)
    states = sorted((step.path.parent.name, step.state()) for step in tiny.folders(tmp_path))
    assert states == [("finetune", "new")] * 2 + [("pretrain", "failed")] * 2 + [("supervised", "done")] * 2
    assert set(tiny.begun(tmp_path).values()) == {0, 1}


def test_a_last_job_that_is_refused_is_told_and_what_was_queued_stays(
    tmp_path: Path, cluster: Cluster, sbatch: Callable[[str], None]
) -> None:
    """As by a partition for jobs with GPUs only."""
    tiny.write(tmp_path, without=("linear", "distill"))
    tiny.options(tmp_path, "max_jobs = 2")
    sbatch('grep -q job-name=rest "${@: -1}" || exec "$REAL" "$@"; echo "sbatch: error: Invalid qos" >&2; exit 1')
    done = tiny.submit(tmp_path)
    assert done.returncode == 1, done.stderr
    said = "- 1 submitted, 2 wait for the next `run` (sbatch: Invalid qos; what was queued before stays so)\n"
    assert said in done.stdout
    [row] = cluster.squeue()
    assert (row["name"].split("-")[0], row["reason"].startswith("JobHeld")) == ("pretrain", False)


@pytest.mark.soak
def test_a_last_job_that_finds_no_room_for_another_begins_again(tmp_path: Path, cluster: Cluster) -> None:
    """Where two jobs may be queued."""
    tiny.write(tmp_path, seeds=(0, 1), without=("linear", "distill", "supervised"))
    with cluster.submissions_limited(2):
        assert tiny.submit(tmp_path, "--set", "train_steps=3").returncode == 0
        tiny.finished(tmp_path, cluster, 300)
    assert set(tiny.begun(tmp_path).values()) == {1}
    assert any("begins again" in said for said in tails(tmp_path))


@pytest.mark.soak
def test_where_the_whole_cluster_is_full_the_rest_waits(
    tmp_path: Path, another_cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    """sbatch itself tries on for two minutes, and is given up before; what was cancelled would fill it for minutes more."""
    monkeypatch.setenv("SIMCLR_SPEC_SLURM_SECONDS", "4")
    cluster = another_cluster(extra="MaxJobCount=4")
    tiny.write(tmp_path, without=("linear",))
    done = tiny.submit(tmp_path, "--set", "train_steps=3")
    assert "- 3 submitted, 1 wait for the next `run` (Slurm temporarily unable to accept job" in done.stdout, done.stdout
    assert (done.returncode, len(cluster.squeue())) == (1, 3)
    no_orphans(tmp_path)
