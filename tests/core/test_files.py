"""Writes: all or nothing."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from simclr_spec.core.errors import UsageError
from simclr_spec.core.files import append_line, refusal, write_atomic, write_output

TOO_LARGE = """
import pathlib, resource, sys
from simclr_spec.core.files import write_atomic
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
try:
    write_atomic(pathlib.Path(sys.argv[1]), b"x" * 100)
except OSError as error:
    print(error.filename, error.strerror)
"""


def test_a_write_that_fails_names_its_file_and_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", TOO_LARGE, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == f"{path} File too large\n"
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a", "old")]


LINES = """
import pathlib, resource, sys
from simclr_spec.core.files import append_line
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
append_line(pathlib.Path(sys.argv[1]), "seven..")
try:
    append_line(pathlib.Path(sys.argv[1]), "eight...")
except OSError as error:
    print(error.filename, error.strerror)
"""


def test_a_line_that_does_not_fit_leaves_the_ones_before(tmp_path: Path) -> None:
    path = tmp_path / "a"
    done = subprocess.run([sys.executable, "-c", LINES, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == f"{path} File too large\n"
    assert path.read_text() == "seven..\n"


def test_a_line_after_a_torn_one_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for line in ("±", "b"):
        append_line(path, line)
    with path.open("a") as file:
        file.write("tor")
    append_line(path, "c")
    assert path.read_text(encoding="utf-8") == "±\nb\ntor\nc\n"


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "the disk is full: /s/a could not be written; free space"),
        (errno.EDQUOT, "your disk quota is used up: /s/a could not be written; free space"),
        (errno.EFBIG, "files may not become so large here: /s/a could not be written; raise the limit (ulimit -f)"),
        (errno.EROFS, "the file system is read-only: /s/a could not be written; mount it for writing"),
        (errno.EACCES, "cannot use /s/a: Permission denied; let its owner permit it"),
        (errno.ENOENT, ""),
    ],
)
def test_what_a_disk_refuses_is_told_with_what_helps(number: int, sentence: str) -> None:
    for name in ("/s/a", b"/s/a"):
        assert refusal(OSError(number, os.strerror(number), name)) == sentence
    assert refusal(OSError(number, os.strerror(number)), "/s/a") == sentence


def test_files_are_as_readable_as_the_user_lets_new_files_be(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "a", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_what_a_user_asks_for_goes_where_the_name_leads(tmp_path: Path) -> None:
    link, target = tmp_path / "link", tmp_path / "new" / "target"
    link.symlink_to(target)
    write_output(str(target), "old")
    write_output(str(link), "±")
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == "±"


def test_what_is_no_file_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True) as reader:
        write_output(str(pipe), "a plan")
        assert reader.communicate()[0] == "a plan"
    assert pipe.is_fifo()
    with pytest.raises(UsageError, match=r"cannot write .*: Is a directory"):
        write_output(str(tmp_path), "a plan")
