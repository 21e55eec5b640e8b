"""A lease is held, free or unknown: by lock on this machine, by heartbeat where another machine's locks are not seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from simclr_spec.core.files import read_json
from simclr_spec.store import lease
from simclr_spec.store.layout import RunFolder
from simclr_spec.store.lease import FRESH_SECONDS, Holder, Lease
from tests import runs
from tests.finished import plant

HOLD = """
import pathlib, sys, time
from simclr_spec.store.layout import RunFolder
with RunFolder(pathlib.Path(sys.argv[1])).leased() as mine:
    print(mine, flush=True)
    time.sleep(60)
"""


def may_take(folder: RunFolder) -> bool:
    with folder.leased() as mine:
        return mine


def test_a_killed_holder_of_this_machine_leaves_its_lease_free_at_once(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    assert folder.is_leased()
    assert not may_take(folder)
    holder = Lease(folder.lease).holder()
    assert holder is not None
    assert holder.pid == process.pid
    assert holder.machine == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    process.kill()
    process.wait()
    process.stdout.close()
    assert holder.is_fresh(), "its last heartbeat is there, and does not count here"
    assert folder.is_free()
    assert may_take(folder)


@pytest.mark.parametrize(
    ("age", "state"),
    [(0.0, "running"), (20.0, "running"), (-20.0, "running"), (FRESH_SECONDS + 1, "unknown")],
)
def test_a_lease_of_another_machine_counts_by_its_heartbeat(tmp_path: Path, age: float, state: str) -> None:
    """Also one that comes from the future: clocks differ by some seconds."""
    folder = RunFolder(tmp_path)
    plant(folder, age)
    assert folder.state() == state
    assert not folder.is_free()
    assert folder.is_leased() == (state == "running")
    assert may_take(folder) == (state == "unknown"), "a fresh one is never stolen"


def test_a_lease_of_an_older_version_that_says_more_is_read(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    holder = plant(folder, 0.0)
    folder.lease.write_text(json.dumps({**asdict(holder), "started": 1}))
    assert folder.holder() == holder
    assert folder.state() == "running"


def test_a_step_whose_lease_is_fresh_elsewhere_is_not_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By no second process, even told to by hand."""
    done = runs.run(tmp_path, "--set", "train_steps=1", "kind=supervised")
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = [RunFolder(path.parent) for path in (tmp_path / "runs").glob("*/*/step.json")]
    folder.result.unlink()
    command = [sys.executable, "-m", "simclr_spec.train", str(folder.path)]
    plant(folder, 5.0)
    assert subprocess.run(command, env=runs.environment(), check=False).returncode == 0
    assert len(folder.attempts()) == 1
    plant(folder, FRESH_SECONDS + 5.0)
    assert subprocess.run(command, env=runs.environment(), check=False).returncode == 0
    assert folder.done
    assert len(folder.attempts()) == 2
    assert folder.lease.read_text() == ""


def test_an_empty_lease_of_an_older_version_is_free(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.lease.touch()
    assert folder.is_free()
    folder.lease.write_text('{"host": "far"')
    assert folder.is_free(), "nor one that holds nobody"


def test_the_holder_is_heard_of_while_it_works_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.02)
    folder = RunFolder(tmp_path)

    def beat() -> float:
        return float(json.loads(folder.lease.read_text())["beat"])

    with folder.leased():
        first = beat()
        runs.wait_for(lambda: beat() > first, 10)
        assert read_json(folder.lease)["pid"] == os.getpid()
    assert folder.lease.read_text() == ""


def test_a_heartbeat_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.001)
    folder = RunFolder(tmp_path)
    look: Callable[[], Holder | None] = Lease(folder.lease).holder
    with folder.leased():
        assert all(look() for _ in range(500))
