"""The digest of an image folder: of the bytes, and remembered by what tells a file."""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from simclr_spec.cli.main import main
from simclr_spec.core.errors import DataError
from simclr_spec.core.words import size
from simclr_spec.data import digests
from simclr_spec.data.loaders.image_folder import LOADER
from simclr_spec.data.splits import Splits
from simclr_spec.stages.common import DatasetConfig
from simclr_spec.store.layout import Store
from tests import tiny

today = LOADER.today


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny.images(tmp_path / "pictures")
    return tmp_path / "pictures"


@pytest.fixture
def cache(tmp_path: Path, folder: Path) -> Path:
    store = Store(tmp_path / "runs")
    store.make()
    return store.hashes_of(folder)


def by_hand(folder: Path) -> str:
    """As it was always computed."""
    sha = hashlib.sha256()
    for split in ("train", "val"):
        files = sorted((folder / split).glob("*/*"))
        sha.update(f"({len(files)},)\n".encode())
        for file in files:
            sha.update(hashlib.sha256(file.read_bytes()).digest())
        sha.update(b"".join(struct.pack("<q", ["ant", "bee", "cat"].index(file.parent.name)) for file in files))
    return sha.hexdigest()


def test_the_digest_is_that_of_the_files_and_labels_and_of_training(folder: Path, cache: Path) -> None:
    wanted = by_hand(folder)
    assert today(folder) == today(folder, cache) == today(folder, cache) == wanted
    assert LOADER.digest(LOADER.read(folder)) == wanted
    assert digests.last_look(cache) == digests.Known(1, 18, wanted)
    tiny.images(folder, 1)
    assert today(folder, cache) == by_hand(folder) != wanted


def replaced_unseen(path: Path, keep: int = 0) -> None:
    """Other bytes under the same name, size, mtime and inode; the first and last `keep` stay."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(keep)
        file.write(bytes(before.st_size - 2 * keep))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_second_look_reads_no_image_unless_told_to(folder: Path, cache: Path) -> None:
    first = today(folder, cache)
    replaced_unseen(folder / "train" / "ant" / "0.png")
    assert today(folder, cache) == first
    assert today(folder, cache, rehash=True) == by_hand(folder) != first
    assert today(folder, cache) == by_hand(folder), "what was read again is remembered"


def test_what_is_known_of_one_file_is_not_taken_for_another(folder: Path, cache: Path) -> None:
    today(folder, cache)
    one, other = folder / "train" / "ant" / "0.png", folder / "train" / "ant" / "1.png"
    one.rename(folder / "x.png")
    other.rename(one)
    (folder / "x.png").rename(other)
    assert today(folder, cache) == by_hand(folder)
    one.unlink()
    assert today(folder, cache) == by_hand(folder)
    assert digests.last_look(cache) == digests.Known(1, 17, by_hand(folder))


def test_a_file_of_this_moment_is_read_again(folder: Path, cache: Path) -> None:
    """Within its clock's tick it could change again, and keep its mtime."""
    path = folder / "val" / "bee" / "0.png"
    path.touch()
    today(folder, cache)
    replaced_unseen(path)
    assert today(folder, cache) == by_hand(folder)


@pytest.mark.parametrize("damage", [b"", b"x", b'{"format": 2, "files": 18, "digest": ""}\n' + bytes(96), b"[1]\n", bytes(999)])
def test_a_damaged_memory_is_none(folder: Path, cache: Path, damage: bytes) -> None:
    cache.parent.mkdir()
    cache.write_bytes(damage)
    assert digests.last_look(cache) is None
    assert today(folder, cache) == by_hand(folder)
    assert digests.last_look(cache) is not None


def test_where_nothing_can_be_remembered_the_images_are_read(folder: Path, tmp_path: Path) -> None:
    assert today(folder, tmp_path / "no" / "store" / "x") == by_hand(folder)
    assert not (tmp_path / "no").exists()


def test_images_that_are_there_twice_are_told(folder: Path) -> None:
    """Testing on what was trained on, and one image of two classes; not two of one class."""
    told: list[str] = []
    today(folder, tell=told.append)
    assert told == []
    for place, twin in (("train/ant/0.png", "val/bee/1.png"), ("train/ant/1.png", "train/cat/0.png")):
        shutil.copy(folder / place, folder / twin)
    shutil.copy(folder / "train/bee/0.png", folder / "train/bee/1.png")
    today(folder, tell=told.append)
    assert told == [
        f"test images that are trained on, byte for byte: 1 of 6, such as {folder}/val/bee/1.png, which is "
        f"{folder}/train/ant/0.png",
        f"training images of two classes, byte for byte: 1 of 12, such as {folder}/train/cat/0.png, which is "
        f"{folder}/train/ant/1.png",
    ]
    today(folder, splits=Splits.TRAIN, tell=(piled := list[str]()).append)
    assert piled == []


def test_an_image_that_cannot_be_read_is_named(folder: Path) -> None:
    path = folder / "train" / "cat" / "2.png"
    path.unlink()
    path.symlink_to("/nowhere/x.png")
    with pytest.raises(DataError, match=rf"{path} is a link to /nowhere/x\.png, which is not there"):
        today(folder)
    with pytest.raises(DataError, match=rf"cannot read the image {path}: No such file or directory"):
        digests.of_files([([str(path)], [0])])  # gone since it was listed


def test_much_to_read_is_told_once(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "_MANY_BYTES", 1000)
    told: list[str] = []
    for _ in range(2):
        today(folder, cache, tell=told.append)
    total = size(sum(file.stat().st_size for file in folder.rglob("*.png")))
    assert told == [f"reading 18 images ({total}) once, to know them again"]


def test_no_torch_is_loaded(folder: Path) -> None:
    code = "import sys, pathlib\nfrom simclr_spec.data.loaders.image_folder import LOADER\n"
    code += f"LOADER.today(pathlib.Path({str(folder)!r}))\n"
    code += "print(not {'torch', 'numpy', 'pandas', 'PIL'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "True\n"


def test_doctor_tells_the_digest_of_what_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "imagenet"
    monkeypatch.setattr(DatasetConfig, "miscounted", lambda *_: "")  # ImageNet has more
    tiny.images(folder)

    def doctor(*more: str) -> str:
        words = ["doctor", "--data-root", str(tmp_path), "--store", str(tmp_path / "runs"), *more]
        (line,) = (line for line in CliRunner().invoke(main, words).output.splitlines() if "imagenet's images: " in line)
        return line.partition("images: ")[2]

    assert doctor() == "not read yet (the first run does; --rehash reads them now)"
    Store(tmp_path / "runs").make()
    assert doctor("--rehash") == doctor() == f"digest {by_hand(folder)}"
    replaced_unseen(folder / "val" / "cat" / "1.png", keep=64)  # a header that can be read
    assert doctor() != f"digest {by_hand(folder)}"
    assert doctor("--rehash") == f"digest {by_hand(folder)}"
