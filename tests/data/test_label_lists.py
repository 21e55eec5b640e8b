"""Lists as people make them: each names its images, or its first faulty lines are told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simclr_spec.core.errors import DataError
from simclr_spec.data.label_lists import resolve

SAME = ("ant/0.png", "ant/1.png", "bee/0.png", "bee/1.png", "bee/a b.png")
"""Two classes with the same names."""
OWN = ("ant/a_0.png", "ant/a_1.png", "ant/ä.png", "bee/b_0.png", "bee/b\\1.png", "bee/#1.png", "bee/train.png")


def listed(folder: Path, data: str | bytes, files: tuple[str, ...] = OWN) -> list[int]:
    path = folder / "mine.txt"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return resolve(path, files)


@pytest.mark.parametrize(
    "text",
    [
        "ant/1.png\nbee/a b.png\n",
        "bee/a b.png\nant/1.png",
        "train/ant/1.png\ntrain/bee/a b.png\n",
        "./ant/1.png\n./train/bee/a b.png\n",
        "/data/mine/train/ant/1.png\n/data/mine/train/bee/a b.png\n",
        "ant\\1.png\r\ntrain\\bee\\a b.png\r\n",
        ".\\train\\ant\\1.png\na b.png\n",
        "ant/1.png\rbee/a b.png\r",
        "\n  ant/1.png  \n\t\n\n  a b.png",
        "# mine\n  # of two classes\nant/1.png\n#bee/0.png\nbee/a b.png\n",
    ],
)
def test_spellings(text: str, tmp_path: Path) -> None:
    assert listed(tmp_path, text, SAME) == [1, 4]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-be-bom"])
def test_encodings(encoding: str, tmp_path: Path) -> None:
    text = "ä.png\r\nb_0.png\r\n"
    data = b"\xfe\xff" + text.encode("utf-16-be") if encoding == "utf-16-be-bom" else text.encode(encoding)
    assert listed(tmp_path, data) == [2, 3]


def test_names_are_taken_as_they_stand_before_they_are_read_otherwise(tmp_path: Path) -> None:
    assert listed(tmp_path, "a_0.png\nb\\1.png\n#1.png\nbee/train.png\n") == [0, 4, 5, 6]
    assert listed(tmp_path, "train/x.png\nval/y.png", ("train/x.png", "val/y.png")) == [0, 1]
    assert listed(tmp_path, b"\xe4.png\n", ("ant/" + os.fsdecode(b"\xe4.png"),)) == [0]
    assert listed(tmp_path, " x.png \n", ("ant/ x.png ",)) == [0]


@pytest.mark.parametrize(
    ("data", "files", "sentence"),
    [
        ("ant/1.png\n1.png\n", SAME, ":2: '1.png' lies in 2 classes (ant, bee); write CLASS/FILE, such as 'ant/1.png'"),
        ("./1.png\n", SAME, ":1: '1.png' lies in 2 classes (ant, bee); write CLASS/FILE, such as 'ant/1.png'"),
        ("a_0\n", OWN, ":1: 'a_0' is no training image; did you mean 'ant/a_0.png'?"),
        ("\n\nANT/A_0.PNG\n", OWN, ":3: 'ANT/A_0.PNG' is no training image; did you mean 'ant/a_0.png'?"),
        ("a\u0308.png\n", OWN, ":1: 'a\u0308.png' is no training image; did you mean 'ant/ä.png'?"),
        ("bee/a_0.png\n", OWN, ":1: 'bee/a_0.png' is no training image; a line is CLASS/FILE, such as 'ant/a_0.png'"),
        ("val/ant/a_0.png\n", OWN, ":1: 'val/ant/a_0.png' is no training image; a line is CLASS/FILE, such as 'ant/a_0.png'"),
        ("a_0.png b_0.png\n", OWN, ":1: 'a_0.png b_0.png' is no training image; a line is CLASS/FILE, such as 'ant/a_0.png'"),
        ("a_0.png\nb_0.png\n./ant/a_0.png\n", OWN, ":3: './ant/a_0.png' is listed before, in line 1; list each image once"),
        (b"a_0.png\n\xe4.png\n", OWN, ":2: '\\udce4.png' is not UTF-8; save the list as UTF-8"),
        ("ab\n".encode("utf-16-le"), OWN, ":1: 'a\\x00b\\x00' is not UTF-8; save the list as UTF-8"),
        (b"\xff\xfea", OWN, ": begins as UTF-16 but is not (truncated data); save the list as UTF-8"),
        ("a_0.png\n", OWN, ": no line names an image of class 'bee'; each class needs at least one"),
        ("a\n", ("a/a", "b/b", "c/c"), ": no line names an image of class 'b' nor of 1 more; each class needs at least one"),
        ("", OWN, ": no line names an image; each class needs at least one"),
        ("# nothing\n\n", OWN, ": no line names an image; each class needs at least one"),
    ],
)  # fmt: skip
def test_faults_are_told_with_their_line(data: str | bytes, files: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        listed(tmp_path, data, files)
    assert str(caught.value).splitlines()[0] == f"{tmp_path / 'mine.txt'}{sentence}"


def test_the_first_three_faults_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        listed(tmp_path, "x\na_0.png\ny\nz\nw\n")
    assert [line.rpartition(":")[0] for line in str(caught.value).splitlines()] == [
        f"{tmp_path / 'mine.txt'}:{n}" for n in (1, 3, 4)
    ]


def test_lists_are_read_without_torch() -> None:
    code = "import sys, simclr_spec.data.label_lists; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
