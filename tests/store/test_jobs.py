"""Folders of runs under way."""

from __future__ import annotations

from pathlib import Path

from simclr_spec.store.jobs import job_folder
from simclr_spec.store.layout import RunFolder, Store
from tests.finished import plant


def test_what_a_dead_run_left_in_jobs_is_removed_and_a_living_one_is_not(tmp_path: Path) -> None:
    dead, living = RunFolder(tmp_path / ".jobs" / "1-1"), RunFolder(tmp_path / ".jobs" / "1-2")
    dead.path.mkdir(parents=True)
    plant(unheard := RunFolder(tmp_path / ".jobs" / "1-3"), age=1e6)
    with living.leased(), job_folder(Store(tmp_path)):
        assert not dead.path.exists()
        assert living.path.exists()
        assert unheard.path.exists(), "on another machine; nobody here can say whether it is dead"
