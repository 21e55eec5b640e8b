"""`result.json` is committed last, by an atomic operation that only the first attempt wins (a link; without links, the rename
of a folder that is not empty): it exists exactly when the Step is done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from simclr_spec.core.files import read_json
from simclr_spec.store.layout import RunFolder
from tests import runs

RACE = """
import errno, os, pathlib, sys
from simclr_spec.store.layout import RunFolder

def refused(*_):
    raise OSError(errno.EPERM, "Operation not permitted")

if sys.argv[3] == "no links":
    os.link = refused
folder = RunFolder(pathlib.Path(sys.argv[1]))
attempt = folder.new_attempt()
RunFolder.done = property(lambda _: False)  # each has looked before any commits
while not os.path.exists(sys.argv[2]):
    pass
print(folder.commit(attempt, {"number": attempt.number}), attempt.number)
"""


def test_an_attempt_that_looked_before_another_committed_does_not_win_over_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tests/store/test_layout.py has the same without links."""
    folder = RunFolder(tmp_path)
    first, second = folder.new_attempt(), folder.new_attempt()
    assert not folder.done
    assert folder.commit(first, {"number": 1})
    assert folder.done
    committed = folder.result.read_bytes()
    with monkeypatch.context() as as_it_was:
        as_it_was.setattr(RunFolder, "done", property(lambda _: False))
        assert not folder.commit(second, {"number": 2})
    assert folder.result.read_bytes() == committed
    assert read_json(second.result)["number"] == 2, "what the second would have made it is still there"


@pytest.mark.parametrize("links", ["links", "no links"])
def test_of_processes_that_commit_at_one_moment_one_wins_and_its_result_stays(links: str, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "folder")
    command = [sys.executable, "-c", RACE, str(folder.path), str(tmp_path / "go"), links]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    runs.wait_for(lambda: len(folder.attempts()) == 4, 60)
    (tmp_path / "go").touch()
    outcomes = [racer.communicate(timeout=60)[0].split() for racer in racers]
    (winner,) = [number for won, number in outcomes if won == "True"]
    assert read_json(folder.result)["number"] == int(winner)
    assert all(attempt.result.exists() for attempt in folder.attempts())
