"""Modes and states of run folders. Commits: the first only. Leases."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import threading
from pathlib import Path

import pytest

from simclr_spec.core.files import read_json
from simclr_spec.store.arrays import Queued
from simclr_spec.store.commit import place_first
from simclr_spec.store.layout import RunFolder, Store
from tests import runs


def test_a_store_is_private_and_a_lease_as_open_as_the_user_lets_new_files_be(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = Store(tmp_path / "runs").prepare("pretrain/r18-1a2b3c4d", {})
        with folder.leased():
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "runs").stat().st_mode & 0o777 == 0o700
    assert folder.lease.stat().st_mode & 0o777 == 0o666


def test_a_step_is_queued_until_its_attempt_begins(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for index in (5, 6):
        folder.queue(Queued(job=f"1234_{index}", array="x", index=index, after_attempt=folder.last_attempt()))
        assert folder.state() == "queued"
        folder.new_attempt()
        assert folder.state() == "interrupted"


# Commits


def test_the_first_end_of_an_attempt_stays(tmp_path: Path) -> None:
    """Of several ranks, the one that failed first knows why; what was interrupted may yet be called a failure."""
    attempt = Store(tmp_path).folder("a/b").new_attempt()
    assert attempt.update(state="running", pid=1)
    assert attempt.close("interrupted")
    assert attempt.close("failed", "it took too long")
    assert not attempt.close("failed", "another process died", "killed")
    assert not attempt.update(state="running", pid=2)
    record = read_json(attempt.record)
    assert (record["pid"], record["state"], record["error"], record["failure"]) == (1, "failed", "it took too long", None)


def test_attempts_that_begin_at_one_moment_have_numbers_of_their_own(tmp_path: Path) -> None:
    begun, at_once = [], threading.Barrier(16)

    def begin() -> None:
        at_once.wait()
        begun.append(RunFolder(tmp_path).new_attempt().number)

    for _ in range(16):
        threading.Thread(target=begin, daemon=True).start()
    runs.wait_for(lambda: len(begun) == 16, 20)
    assert sorted(begun) == list(range(1, 17))


def attempts_commit(folder: RunFolder) -> list[bool]:
    return [folder.commit(attempt, {"number": attempt.number}) for attempt in (folder.new_attempt(), folder.new_attempt())]


def without_links(monkeypatch: pytest.MonkeyPatch, number: int = errno.EPERM) -> None:
    def link(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)


@pytest.mark.parametrize("number", [None, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK])
def test_only_the_first_attempt_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int | None) -> None:
    if number is not None:
        without_links(monkeypatch, number)
    folder = RunFolder(tmp_path)
    assert not folder.done
    assert attempts_commit(folder) == [True, False]
    assert read_json(folder.result) == {"number": 1, "weights": "attempts/1/weights.safetensors"}
    assert attempts_commit(folder) == [False, False]


@pytest.mark.parametrize("number", [None, errno.EPERM])
def test_of_two_that_found_nothing_committed_the_first_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int | None
) -> None:
    """Both have looked before either commits, so that the operation alone decides."""
    if number is not None:
        without_links(monkeypatch, number)
    won = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(name)
        won.append(place_first(tmp_path / name / "result.json", tmp_path / "result.json", tmp_path / "committed"))
    assert won == [True, False]
    placed = tmp_path / ("result.json" if number is None else "committed/result.json")
    assert placed.read_text() == "a"


def test_a_file_system_with_links_and_one_without_are_one_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path)
    assert folder.commit(folder.new_attempt(), {"by": "link"})
    without_links(monkeypatch)
    assert attempts_commit(folder) == [False, False]
    assert read_json(folder.result)["by"] == "link"


def test_another_fault_than_missing_links_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_links(monkeypatch, errno.ENOSPC)
    folder = RunFolder(tmp_path)
    with pytest.raises(OSError, match="No space left"):
        folder.commit(folder.new_attempt(), {})
    assert not folder.done


def test_without_links_a_commit_cut_short_is_published_and_nobody_else_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_links(monkeypatch)
    monkeypatch.setattr(RunFolder, "settle", lambda _: None)  # killed between the rename and what follows
    folder = RunFolder(tmp_path)
    assert attempts_commit(folder) == [True, False]
    assert not folder.done
    monkeypatch.undo()
    folder.settle()
    assert read_json(folder.result)["number"] == 1


def test_a_run_without_links_ends_done_and_a_second_trains_nothing(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    text = (
        "import os\ndef link(*a, **k):\n    raise PermissionError(1, 'Operation not permitted', str(a[0]), None, str(a[1]))\n"
    )
    (tmp_path / "site" / "sitecustomize.py").write_text(text + "os.link = link\n")
    command = [*runs.command(tmp_path), "--set", "train_steps=2", "+kind=finetune"]
    values = runs.environment(PYTHONPATH=str(tmp_path / "site"))
    for end in (": 2 done.", "all done before: nothing to run."):
        done = subprocess.run(command, capture_output=True, text=True, env=values, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.splitlines()[-1].endswith(end)
    folders = list(Store(tmp_path / "runs").folders())
    assert [(folder.state(), (folder.path / "committed").is_dir()) for folder in folders] == [("done", True)] * 2


# Leases


def test_who_only_asks_holds_no_lease(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with folder.leased() as mine:
        assert mine
        assert folder.is_leased()
    with folder.lease.open("rb") as another:
        fcntl.flock(another, fcntl.LOCK_SH)  # `status` asks at this moment
        assert not folder.is_leased()
