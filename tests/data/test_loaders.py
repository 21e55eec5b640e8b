"""What each loader reads, and by which digest it is known; none of them loads torch."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simclr_spec.core.errors import DataError
from simclr_spec.data.loaders.cifar10 import CLASSES, FILES, Original
from simclr_spec.data.loaders.cifar10 import LOADER as CIFAR10
from simclr_spec.data.loaders.digits import LOADER as DIGITS


def test_the_tested_digits_are_the_first_of_each_class_in_an_order_drawn_once() -> None:
    images = DIGITS.read(None)
    assert images.counts == (1437, 360, 10)
    assert np.bincount(images.test.labels).tolist() == [36] * 10
    assert images.test.labels[:12].tolist() == [1, 4, 7, 8, 6, 7, 8, 1, 0, 3, 3, 6]
    assert DIGITS.digest(images) == "407c42abacdf8f66c4d3793ad50857c190a5bfcb6d921f8146f2b25ab7d2ccae"


def test_classes_have_names_in_the_order_of_the_labels() -> None:
    """CIFAR-10's by the page of those who made it."""
    assert DIGITS.read(None).classes == tuple("0123456789")
    assert " ".join(CLASSES) == "airplane automobile bird cat deer dog frog horse ship truck"


def test_digest_sees_every_pixel_label_and_the_order() -> None:
    images = DIGITS.read(None)
    pixels, labels = images.train.pixels.copy(), images.test.labels.copy()
    pixels[700, 1, 3, 3] ^= 1
    labels[5] += 1
    others = [
        replace(images, train=replace(images.train, pixels=pixels)),
        replace(images, test=replace(images.test, labels=labels)),
        replace(images, train=replace(images.train, pixels=images.train.pixels[::-1].copy())),
    ]
    assert len({DIGITS.digest(x) for x in [images, *others]}) == 4


class Attack:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_a_changed_pickle_is_never_loaded(tmp_path: Path) -> None:
    """This one makes a folder when unpickled."""
    mark = tmp_path / "mark"
    attack = pickle.dumps(Attack(mark))
    pickle.loads(attack)
    mark.rmdir()
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for file in FILES:
        (folder / file).write_bytes(attack)
    with pytest.raises(DataError, match=r"data_batch_1 is not the original file \(its MD5 differs\), so it is not loaded"):
        CIFAR10.read(folder)
    assert not mark.exists()


def test_five_batches_of_cifar10_are_trained_on_and_the_sixth_is_tested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i, name in enumerate(list(FILES)):
        data = pickle.dumps({"data": np.full((2, 3072), i, dtype=np.uint8), "labels": [i, i + 1]})
        (tmp_path / name).write_bytes(data)
        monkeypatch.setitem(FILES, name, Original(len(data), hashlib.md5(data).hexdigest()))
    images = CIFAR10.read(tmp_path)
    assert images.train.labels.tolist() == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5]
    assert images.test.labels.tolist() == [5, 6]
    assert [split.pixels[:, 2, 31, 31].tolist() for split in (images.train, images.test)] == [
        [0, 0, 1, 1, 2, 2, 3, 3, 4, 4],
        [5, 5],
    ]


def test_no_torch_is_loaded() -> None:
    code = "import sys\nfrom simclr_spec.data.registry import LOADERS\nprint('numpy' in sys.modules)\n"
    code += "LOADERS['digits'].read(None)\nprint('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\nFalse\n"
