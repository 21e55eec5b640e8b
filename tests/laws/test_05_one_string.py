"""A job receives one string, its run folder; any job can be run again by hand: `python -m simclr_spec.train FOLDER`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from simclr_spec.core.files import read_json
from simclr_spec.store.layout import RunFolder
from tests import runs


def test_a_job_is_run_again_by_hand_and_ends_the_same(undisturbed: Path, tmp_path: Path) -> None:
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    file = next((tmp_path / "runs" / "finetune").glob("*/result.json"))
    before, folder = read_json(file), RunFolder(file.parent)
    shutil.rmtree(folder.path / "attempts")
    file.unlink()
    command = [sys.executable, "-m", "simclr_spec.train", str(folder.path)]
    subprocess.run(command, env=runs.environment(SIMCLR_SPEC_THREADS="1"), capture_output=True, check=True)
    assert read_json(file)["metrics"] == before["metrics"]
    assert runs.weights(tmp_path) == runs.weights(undisturbed)
    subprocess.run(command, env=runs.environment(SIMCLR_SPEC_THREADS="1"), capture_output=True, check=True)
    assert len(folder.attempts()) == 1, "it was done already"
