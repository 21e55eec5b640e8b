"""What a Step will read is looked at before its first train step, by content; whatever goes wrong while reading a
file names the file.

Every fault of a folder and of a list: tests/store/test_first_look.py; of declared files: tests/test_faults.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from simclr_spec.core.errors import DataError, UsageError
from simclr_spec.language import declared
from simclr_spec.language.document import load
from simclr_spec.language.schemas import SCHEMAS
from simclr_spec.store.first_look import look_ahead
from simclr_spec.store.layout import Store
from tests import folders, tiny
from tests.finished import finish
from tests.imported import project
from tests.typed import run


def test_an_image_that_cannot_be_decoded_keeps_the_run_from_starting(tmp_path: Path, store: Store) -> None:
    steps = folders.planned(folders.pets(tmp_path / "pets").parent).steps
    assert look_ahead(steps, [str(tmp_path)], store) == []
    image = tmp_path / "pets" / "train" / "bat" / "2.png"
    Image.effect_noise((64, 64), 50).save(image)
    image.write_bytes(image.read_bytes()[:2000])  # its header is whole
    with pytest.raises(DataError, match=r"pets/train/bat/2\.png"):
        look_ahead(steps, [str(tmp_path)], store)
    done = run("run", str(tmp_path / "mine.toml"), "--data-root", str(tmp_path))
    assert done.exit_code == 1, done.output
    assert str(image) in done.output
    assert not list(store.folders()), "nothing started"


def test_a_damaged_checkpoint_keeps_the_run_from_starting(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = project(tmp_path)
    index = tmp_path / "weights" / "mine" / "network.index"
    index.write_bytes(index.read_bytes()[:-1])
    done = run("run", str(spec))
    assert done.exit_code == 1, done.output
    assert str(index) in done.output
    assert not list(store.folders()), "nothing started"


@pytest.mark.parametrize("kind", list(declared.FOLDERS))
def test_a_declared_file_that_is_no_text_is_named(kind: declared.FileKind, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(b"title = '\xff\xfe'")
    with pytest.raises(UsageError, match=rf"^{file}: not UTF-8 text \(byte 9\)$"):
        load(kind, str(file), SCHEMAS[kind])
    done = run("check", str(file))
    assert done.exit_code == 2
    assert str(file) in done.output


@pytest.mark.parametrize("words", [("status",), ("status", "mine.toml"), ("plan", "mine.toml"), ("report", "report.toml")])
def test_a_damaged_result_is_named(
    words: tuple[str, ...], tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = finish(store, folders.planned(tmp_path).steps[-1], {"top1": 1.0})
    (tmp_path / "report.toml").write_text(tiny.REPORT.replace("finetune", "supervised"), encoding="utf-8")
    folder.result.write_text("{", encoding="utf-8")
    told = f"{folder.result} is damaged: it holds no JSON table. Delete it, and run its spec\n"
    done = run(*words)
    assert (done.exit_code, done.output) == (1, told)
