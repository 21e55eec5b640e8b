"""What a terminal shows stays within its width; what goes elsewhere is not broken."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from simclr_spec.plan import compile
from simclr_spec.store.layout import Store
from tests import runs
from tests.finished import fail, finish


def on_a_terminal(columns: int, *arguments: str) -> str:
    """What a command shows on a terminal of so many columns."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [sys.executable, "-m", "simclr_spec", *arguments]
    process = subprocess.Popen(command, stdout=its, stderr=its, stdin=its, env=runs.environment())
    os.close(its)
    shown = bytearray()
    while True:
        try:
            some = os.read(ours, 65536)
        except OSError:  # Linux says so when the other side is closed
            break
        if not some:
            break
        shown += some
    process.wait()
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")


def piped(*arguments: str) -> str:
    command = [sys.executable, "-m", "simclr_spec", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=runs.environment(), check=True).stdout


@pytest.mark.parametrize("columns", [60, 80])
@pytest.mark.parametrize(
    "words",
    [
        ("plan", "table1"),
        ("plan", "table1", "--steps"),
        ("explain", "table1"),
        ("status", "quickstart"),
        ("plan", "quickstart"),
    ],
    ids=" ".join,
)
def test_lines_stay_within_the_terminal_and_lose_no_word(words: tuple[str, ...], columns: int, tmp_path: Path) -> None:
    store, steps = Store(tmp_path / "runs"), compile(["quickstart"]).steps
    finish(store, steps[0], {"top1": 1.0})
    folder = fail(store, steps[1])
    (folder.attempts()[0].path / "record.json").write_text('{"state": "failed", "error": "' + "a long story " * 20 + '"}')
    where = () if words[0] == "explain" else ("--store", os.path.relpath(store.path))
    shown, whole = on_a_terminal(columns, *words, *where), piped(*words, *where)
    assert shown.split() == whole.split()
    assert max(len(line) for line in whole.splitlines()) > columns
    long = [line for line in shown.splitlines() if len(line) > columns]
    assert [line for line in long if " " in line.strip()] == []  # a word that is longer than a line stays whole


def test_lines_that_fit_keep_their_columns() -> None:
    assert on_a_terminal(400, "explain", "table1") == piped("explain", "table1")
