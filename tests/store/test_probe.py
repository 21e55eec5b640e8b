"""The file system of a store is tried before anything starts."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from simclr_spec.core.errors import UsageError
from simclr_spec.store.probe import probe
from tests import runs


def refuse(number: int) -> Callable[..., None]:
    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return refused


def test_nothing_is_made_and_nothing_is_left(tmp_path: Path) -> None:
    begun = time.process_time()
    probe(tmp_path / "a" / "runs")
    assert time.process_time() - begun < 0.05
    assert list(tmp_path.iterdir()) == []


def test_without_links_a_store_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    probe(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_links_and_renames_of_folders_nothing_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    monkeypatch.setattr(os, "rename", refuse(errno.EPERM))
    with pytest.raises(UsageError) as told:
        probe(tmp_path)
    assert str(told.value) == (
        f"the store's file system ({tmp_path}) has no way to commit a result (Operation not permitted), so that of two "
        "attempts only one counts: it needs hard links, or folders that are not replaced when another is renamed to them; "
        "name another store with --store. Nothing started"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_rename_that_replaces_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on mounted object stores."""
    monkeypatch.setattr(os, "link", refuse(errno.EOPNOTSUPP))
    monkeypatch.setattr(Path, "rename", lambda path, _: path)
    with pytest.raises(UsageError, match="a second attempt won over the first"):
        probe(tmp_path)


def test_refused_locks_are_told_with_what_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", refuse(errno.ENOLCK))
    with pytest.raises(UsageError, match=r"refuses locks \(flock: No locks available\), by which .* local_lock=flock"):
        probe(tmp_path)
    assert list(tmp_path.iterdir()) == []


LOCKLESS = "import fcntl\ndef flock(*_):\n    raise OSError(38, 'Function not implemented')\nfcntl.flock = flock\n"


@pytest.mark.parametrize("options", [("run",), ("run", "--dry-run"), ("doctor",)])
def test_run_dry_run_and_doctor_try_it_before_anything(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(LOCKLESS)
    name, *more = options
    command = runs.command(tmp_path, *more, name=name)
    values = runs.environment(PYTHONPATH=str(tmp_path / "site"))
    done = subprocess.run(command, capture_output=True, text=True, env=values, timeout=60, check=False)
    assert "refuses locks (flock: Function not implemented)" in done.stdout + done.stderr
    assert done.returncode == (0 if name == "doctor" else 2)
    assert not (tmp_path / "runs").exists()
    assert not list(tmp_path.glob(".probe*"))


def test_a_store_that_cannot_be_written_is_told() -> None:
    with pytest.raises(UsageError) as told:
        probe(Path("/proc/runs"))  # where not even root makes a folder
    assert str(told.value) == "cannot use /proc/runs: No such file or directory. Nothing started"
