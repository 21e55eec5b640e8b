"""The first look at label lists, held against the images."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from simclr_spec.core.errors import DataError
from simclr_spec.store import first_look
from tests import folders
from tests.folders import pets
from tests.store.spoil import write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return pets(tmp_path / "pets")


def test_label_lists_are_held_against_the_images(folder: Path) -> None:
    """Before anything starts: which line names no image, beside all other faults."""
    text = "ape/0.png\nbat/0.png\ncow/9.png\n"
    (folder.parent / "some.txt").write_text(text)
    spec = f'{folders.SPEC}label_fraction = 0.34\nlabels = {{ sampler = "list", list_digest = "{sha(text)}" }}\n'
    steps = folders.planned(folder.parent, spec=spec).steps
    write("val/ape/1.png", b"")(folder)
    with pytest.raises(DataError) as caught:
        first_look.look_ahead(steps, [str(folder.parent)])
    empty, line = str(caught.value).splitlines()
    assert empty == f"{folder}/val/ape/1.png is empty: it has 0 bytes"
    assert line.startswith(f"{folder.parent}/some.txt:3: ")
    assert "cow/9.png" in line


@pytest.mark.parametrize(("amount", "told"), [("label_fraction = 0.9", "label_fraction 0.9 is 11"),
                                              ("labels_per_class = 2", "labels_per_class 2 is 6")])  # fmt: skip
def test_a_list_of_another_size_than_the_step_says_is_a_fault(amount: str, told: str, folder: Path) -> None:
    """Else what was trained on four images would be shown as trained on nearly all. In each class a share may be rounded."""
    text = "ape/0.png\nape/1.png\nbat/0.png\ncow/1.png\n"
    (folder.parent / "some.txt").write_text(text)
    labels = f'labels = {{ sampler = "list", list_digest = "{sha(text)}" }}\n'
    with pytest.raises(DataError) as caught:
        first_look.look_ahead(
            folders.planned(folder.parent, spec=f"{folders.SPEC}{amount}\n{labels}").steps, [str(folder.parent)]
        )
    assert str(caught.value) == (
        f"{folder.parent}/some.txt: names 4 of 12 training images, but {told}; "
        "say label_fraction = 0.3333333, or name another list"
    )
    for near in (0.34, 0.5):
        steps = folders.planned(folder.parent, spec=f"{folders.SPEC}label_fraction = {near}\n{labels}").steps
        assert first_look.look_ahead(steps, [str(folder.parent)]) == []


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
