"""Code that changes between submission and start is told."""

from __future__ import annotations

from pathlib import Path

from simclr_spec.core.code import code_version
from simclr_spec.core.files import read_json, write_json
from simclr_spec.store.layout import Store
from tests import runs
from tests.slurm.cluster import Cluster
from tests.slurm.test_preflight import profile


def test_a_job_that_begins_on_other_code_says_so(tmp_path: Path, cluster: Cluster) -> None:
    """Two jobs wait; what submitted them is made another before they begin, of one of them."""
    store = Store(tmp_path / "runs")
    blocker = cluster.sbatch("sleep 600", "--nodes=4", "--exclusive")
    for stage in ("supervised", "pretrain"):
        done = runs.run(tmp_path, f"stage={stage}", "--set", "train_steps=2", "--runner", profile(tmp_path))
        assert done.returncode == 0, done.stdout + done.stderr
    for array in store.open_arrays():
        if array.name.startswith("supervised"):
            write_json(array.intent, read_json(array.intent) | {"code": "0f9e8d7"})
    cluster.cancel(blocker)
    cluster.wait_until(lambda: all(folder.done for folder in store.folders()), runs.PATIENCE)
    records = {folder.path.parent.name: read_json(folder.attempts()[-1].record) for folder in store.folders()}
    assert {kind: record.get("submitted_code") for kind, record in records.items()} == {
        "supervised": "0f9e8d7",
        "pretrain": None,
    }
    told = f"ran on code {code_version()}, submitted with 0f9e8d7"
    for verb in ("status", "plan"):
        lines = runs.run(tmp_path, "--set", "train_steps=2", name=verb).stdout.splitlines()
        assert [line for line in lines if "submitted" in line] == [f"! 1 Step {told}"]
    log = runs.run(tmp_path, "stage=supervised", "--set", "train_steps=2", name="logs").stdout
    assert f"runs on code {code_version()}, submitted with 0f9e8d7" in log
