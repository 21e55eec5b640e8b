"""Where no cluster can be started, its tests say what they lack, and nothing is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.slurm.daemons import PROGRAMS, missing

ROOT = Path(__file__).parents[1]


def test_every_test_of_the_cluster_is_skipped_with_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "tests/slurm"]
    environment = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert "passed" not in done.stdout
    assert done.returncode == 0, done.stdout
    assert f"a cluster needs {', '.join(PROGRAMS)}; as root on a Debian, `make test-slurm` installs" in done.stdout


def test_a_user_is_told_to_be_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert missing() == "a cluster is started by root only: run `make test-slurm` as root"
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert missing() == ""


@pytest.mark.parametrize(("user", "installs"), [(0, True), (1000, False)])
def test_packages_are_installed_by_root_only(user: int, installs: bool, tmp_path: Path) -> None:
    for name, script in {"id": f"echo {user}", "apt-get": 'echo "$@"', "chmod": ":", "rm": ":"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", ROOT / "tests" / "slurm" / "install.sh"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("slurmctld" in done.stdout) is installs
