"""What Slurm's commands print, in our words."""

from __future__ import annotations

from pathlib import Path

import pytest

from simclr_spec.core.errors import UsageError
from simclr_spec.dispatch.slurm import commands
from simclr_spec.dispatch.slurm.commands import ANY, NoAccounting, NoAnswer


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PATH for programs that stand in for Slurm's."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("text", "found"),
    [("3", [3]), ("0", [0]), ("[0-2,7%4]", [0, 1, 2, 7]), ("[5]", [5]), ("2-3", [2, 3]), ("N/A", [ANY]), ("", [])],
)
def test_elements_in_one_row(text: str, found: list[int]) -> None:
    assert list(commands.indices(text)) == found


def lines(folder: Path, name: str, *printed: str) -> None:
    program(folder, name, "\n".join(f"echo '{line}'" for line in printed))


def test_rows_of_the_queue_one_by_one_and_grouped(say: Path) -> None:
    lines(say, "squeue", "a|7|0|RUNNING|None|n1", "a|7|[1-2%1]|PENDING|Dependency|", "b|8|N/A|CANCELLED|Priority|")
    found = commands.queue(["a", "b"])
    assert [(job.name, job.id, job.state, job.live) for job in found] == [
        ("a", "7_0", "RUNNING", True),
        ("a", "7_1", "PENDING", True),
        ("a", "7_2", "PENDING", True),
        ("b", "8_-1", "CANCELLED", False),
    ]


def test_rows_of_accounting(say: Path) -> None:
    cancelled = ("a|7_0|CANCELLED by 0|n1", "a|7_[2-3]|CANCELLED by 1000|None assigned")
    lines(say, "sacct", *cancelled, "a|7_4|NODE_FAIL|n2", "a|9|COMPLETED|n1", "b|8|CANCELLED by 0|n1")
    found = [(job.index, job.state, job.by, job.nodes) for job in commands.history(["7"])]
    assert found == [
        (0, "CANCELLED", "0", "n1"),
        (2, "CANCELLED", "1000", "None assigned"),
        (3, "CANCELLED", "1000", "None assigned"),
        (4, "NODE_FAIL", "", "n2"),
        (ANY, "CANCELLED", "0", "n1"),
    ]


def test_thousands_of_arrays_are_asked_for_in_some_questions_that_no_argument_is_too_long_for(say: Path) -> None:
    names = [f"pretrain-1129-131628-{number:06x}" for number in range(5000)]
    program(say, "squeue", f'echo "$@" >>{say}/asked; echo "pretrain-1129-131628-001387|9|0|RUNNING|None|n1"')
    program(say, "sacct", f'echo "$@" >>{say}/accounts')
    assert {job.name for job in commands.queue(names)} == {names[-1]}
    assert commands.history(names) == []
    for file in ("asked", "accounts"):
        questions = (say / file).read_text().splitlines()
        assert len(questions) == 10
        assert all(any(name in question for question in questions) for name in names[::499])


def test_what_does_not_answer(say: Path) -> None:
    with pytest.raises(NoAnswer, match="this machine has no squeue: is it a login node of the cluster"):
        commands.queue(["a"])
    with pytest.raises(NoAccounting):
        commands.history(["7"])
    program(say, "sacct", "echo Slurm accounting storage is disabled >&2; exit 1")
    with pytest.raises(NoAccounting):
        commands.history(["7"])
    program(say, "sacct", "echo sacct: error: Problem talking to the database: Connection refused >&2; exit 1")
    with pytest.raises(NoAnswer, match=r"^sacct: Problem talking to the database: Connection refused$") as told:
        commands.history(["7"])
    assert not isinstance(told.value, NoAccounting)


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "COMPLETING", "REQUEUED", "PREEMPTED", "NODE_FAIL", "SUSPENDED"])
def test_in_the_queue_what_comes_back_is_no_end(state: str) -> None:
    assert commands.Job("a", "7", 0, state).live


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "DEADLINE", "BOOT_FAIL"])
def test_ends(state: str) -> None:
    assert not commands.Job("a", "7", 0, state).live


def test_how_long_a_command_may_take_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMCLR_SPEC_SLURM_SECONDS", "7")
    assert commands.patience() == 7
    for text in ("abc", "0", "-1", "1.5", ""):
        monkeypatch.setenv("SIMCLR_SPEC_SLURM_SECONDS", text)
        with pytest.raises(UsageError, match="SIMCLR_SPEC_SLURM_SECONDS must be a whole number of seconds, not"):
            commands.call("true")
