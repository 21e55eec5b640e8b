"""Where published weights are looked for, and which files they are."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from simclr_spec.core.errors import MissingDataError, WeightsError
from simclr_spec.data import weights
from simclr_spec.data.bundle.bundle import find
from tests.data.bundle.writing import write_bundle

ORIGIN = "https://example.org/weights"


def rooted(monkeypatch: pytest.MonkeyPatch, *roots: Path | str) -> None:
    monkeypatch.setenv(weights.ENVIRONMENT, ":".join(map(str, roots)))


def test_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(weights.ENVIRONMENT, raising=False)
    assert weights.weights_roots() == [f"{tmp_path}/weights"]
    rooted(monkeypatch, "a", "/b", "")
    assert weights.weights_roots() == [f"{tmp_path}/a", "/b"]
    with weights.in_environment(["c"]):
        assert weights.weights_roots() == [f"{tmp_path}/c"]
    assert weights.as_environment(["/a", "/b"]) == {weights.ENVIRONMENT: "/a:/b"}
    assert weights.as_environment([]) == {}


def test_the_first_root_that_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rooted(monkeypatch, tmp_path / "a", tmp_path / "b")
    for root, name in (("b", "one.pth"), ("b", "both.pth"), ("a", "both.pth")):
        (tmp_path / root).mkdir(exist_ok=True)
        (tmp_path / root / name).touch()
    assert weights.place("one.pth", ORIGIN) == tmp_path / "b" / "one.pth"
    assert weights.place("both.pth", ORIGIN) == tmp_path / "a" / "both.pth"


def test_a_checkpoint_is_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its digest is that of its index and then of its shards; a saved model's, that of its variables."""
    rooted(monkeypatch, tmp_path)
    (tmp_path / "r50" / "saved" / "variables").mkdir(parents=True)
    tensors = {f"layer_{k}": np.arange(k, k + 5.0) for k in range(4)}
    files = write_bundle(tmp_path / "r50" / "model.ckpt-1", tensors, shards=2)
    variables = write_bundle(tmp_path / "r50" / "saved" / "variables" / "variables", tensors)
    for name, expected in (("r50/model.ckpt-1", files), ("r50/saved", variables), ("r50/model.ckpt-1.index", files)):
        path = weights.place(name, ORIGIN)
        assert weights.parts(path) == expected
        told = subprocess.run(["sh", "-c", 'cat "$@" | sha256sum', "-", *map(str, expected)], capture_output=True, text=True)
        assert weights.sha256(weights.parts(path)) == told.stdout.split()[0]
    files[2].unlink()
    with pytest.raises(WeightsError, match=r"model\.ckpt-1\.data-00001-of-00002: there is no such file"):
        weights.parts(tmp_path / "r50" / "model.ckpt-1")


def test_whoever_looks_finds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder of the prefix's name is nothing; a file of that name is what was named, and no checkpoint."""
    rooted(monkeypatch, tmp_path)
    files = write_bundle(tmp_path / "m", {"a": np.ones(2)})
    (tmp_path / "m").mkdir()
    found = find(weights.place("m", ORIGIN))
    assert found is not None
    assert found.files == weights.parts(tmp_path / "m") == files
    (tmp_path / "m").rmdir()
    (tmp_path / "m").touch()
    assert weights.parts(weights.place("m", ORIGIN)) == [tmp_path / "m"]
    assert find(tmp_path / "m") is None


def test_a_name_that_no_file_can_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rooted(monkeypatch, tmp_path)
    with pytest.raises(WeightsError) as error:
        weights.place("a" * 250, ORIGIN)
    assert str(error.value) == (
        f"cannot look for the weights '{'a' * 55}...', as the weights file names them, in {tmp_path}: File name too long"
    )


@pytest.mark.parametrize(
    ("name", "which"),
    [("r50/model.ckpt-1", " (files .index and .data-00000-of-00001)"), ("r50.pth", ""), ("r50.safetensors", "")],
)
def test_what_is_not_there(name: str, which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is no saved model is not what was published."""
    rooted(monkeypatch, tmp_path / "a", tmp_path / "b")
    (tmp_path / "a" / name).mkdir(parents=True)
    with pytest.raises(MissingDataError) as error:
        weights.place(name, ORIGIN)
    assert str(error.value) == (
        f"the weights '{name}' are not there (looked in {tmp_path}/a, {tmp_path}/b): fetch them from {ORIGIN}{which}, "
        "or say where they lie with --weights-root or SIMCLR_SPEC_WEIGHTS"
    )


@pytest.mark.parametrize("name", ["../secret", "a/../../secret", "/etc/passwd"])
def test_nothing_outside_of_a_root_is_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rooted(monkeypatch, tmp_path / "a")
    (tmp_path / "a").mkdir()
    (tmp_path / "secret").touch()
    with pytest.raises(WeightsError, match="no name below a weights root"):
        weights.place(name, ORIGIN)
