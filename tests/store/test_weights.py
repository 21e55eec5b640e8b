"""A published name means one file, from its first read on."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from simclr_spec.core.errors import WeightsError
from simclr_spec.core.files import write_json
from simclr_spec.data import weights as files
from simclr_spec.stages.imports import WeightsConfig
from simclr_spec.store.layout import Store
from simclr_spec.store.weights import identified

CONFIG = WeightsConfig(
    file="mine.pth",
    sha256="",
    train_step=None,
    layout="separius",
    network="online",
    head_layers=0,
    classes=None,
    from_layer=0,
    origin="https://example.org",
    licence="MIT",
)
Identify = Callable[..., str]


@pytest.fixture
def identify(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Identify:
    monkeypatch.setenv(files.ENVIRONMENT, str(tmp_path))

    def identify(config: WeightsConfig = CONFIG, *, keep: bool = True) -> str:
        path, sha = identified(config, store, store.folder("import/mine-1a2b3c4d"), keep=keep)
        assert path == tmp_path / config.file
        return sha

    return identify


def write(path: Path, content: bytes, age: float = 100) -> str:
    path.write_bytes(content)
    os.utime(path, (path.stat().st_mtime - age,) * 2)
    return sha256(content).hexdigest()


def test_the_first_read_decides(tmp_path: Path, identify: Identify) -> None:
    first = write(tmp_path / "mine.pth", b"one")
    assert identify() == first
    other = write(tmp_path / "mine.pth", b"two", age=50)
    with pytest.raises(WeightsError) as error:
        identify()
    assert str(error.value) == (
        f"{tmp_path}/mine.pth is not the file 'mine.pth': its SHA-256 is {other}, that of the first read was {first}; "
        f'put that one back, or declare sha256 = "{other}" in the weights file'
    )
    assert identify(replace(CONFIG, sha256=other)) == other
    with pytest.raises(WeightsError, match="that of the first read was"):
        identify()
    assert identify(replace(CONFIG, origin="https://elsewhere.org")) == other, "another origin's file of the same name"


def test_a_look_that_is_not_kept_decides_nothing(tmp_path: Path, identify: Identify, store: Store) -> None:
    write(tmp_path / "mine.pth", b"one")
    identify(keep=False)
    assert not store.path.exists()
    assert identify() == write(tmp_path / "mine.pth", b"one")


def test_a_declared_digest_decides(tmp_path: Path, identify: Identify) -> None:
    first = write(tmp_path / "mine.pth", b"one")
    declared = "0" * 64
    with pytest.raises(WeightsError) as error:
        identify(replace(CONFIG, sha256=declared))
    assert str(error.value) == (
        f"{tmp_path}/mine.pth is not the file 'mine.pth': its SHA-256 is {first}, declared is {declared}; "
        "fetch it again from https://example.org, or correct sha256 in the weights file"
    )


def test_what_a_result_says_decides(tmp_path: Path, identify: Identify, store: Store) -> None:
    """Also where what is remembered was deleted."""
    write(tmp_path / "mine.pth", b"one")
    folder = store.folder("import/mine-1a2b3c4d")
    folder.path.mkdir(parents=True)
    write_json(folder.result, {"weights_sha256": "f" * 64})
    with pytest.raises(WeightsError, match=f"that of the first read was {'f' * 64}"):
        identify()


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, identify: Identify, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh one is: it could change within its clock's tick."""
    read: list[list[Path]] = []
    hashed = files.sha256

    def counted(parts: list[Path]) -> str:
        read.append(parts)
        return hashed(parts)

    monkeypatch.setattr(files, "sha256", counted)
    write(tmp_path / "mine.pth", b"one")
    for _ in range(3):
        identify()
    assert len(read) == 1
    write(tmp_path / "mine.pth", b"one", age=-1)
    for _ in range(3):
        identify()
    assert len(read) == 4


def test_the_name_of_a_file_of_torchvision_tells_its_digest(tmp_path: Path, identify: Identify) -> None:
    content = b"a network"
    begins = sha256(content).hexdigest()[:8]
    right = replace(CONFIG, layout="torchvision", file=f"resnet50-{begins}.pth")
    wrong = replace(CONFIG, layout="torchvision", file="resnet50-0676ba61.pth")
    for config in (right, wrong):
        write(tmp_path / config.file, content)
    assert identify(right).startswith(begins)
    with pytest.raises(WeightsError, match=r"and by its name it begins with 0676ba61; fetch it again from https://example"):
        identify(wrong)
    assert identify(replace(wrong, layout="separius")), "a date, perhaps"
