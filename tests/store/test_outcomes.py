"""Outcomes on disk: read as they were written, and told in a sentence where they cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simclr_spec.core.errors import SimclrSpecError
from simclr_spec.core.files import read_json
from simclr_spec.store.layout import RunFolder
from simclr_spec.store.outcomes import Outcomes, paired, read, write


def outcomes(images: int, classes: int = 5) -> Outcomes:
    random = np.random.default_rng(0)
    top5 = np.argsort(random.random((images, classes)))[:, :5].astype(np.int16)
    return Outcomes(top5, random.integers(0, classes, images).astype(np.int16))


def done(path: Path, tests: dict[str, Outcomes], digest: str = "") -> RunFolder:
    """A Step with these tests; with a digest of its test list where one is given."""
    folder = RunFolder(path)
    attempt = folder.new_attempt()
    if tests:
        write(attempt.outcomes, tests)
    folder.commit(attempt, {"test_list": {"images": 7, "digest": digest}} if digest else {})
    return folder


@pytest.mark.parametrize("names", [("",), ("knn", "linear")])
def test_what_was_written_is_read(names: tuple[str, ...], tmp_path: Path) -> None:
    tests = {name: outcomes(7 + i, classes=3 + 3 * i) for i, name in enumerate(names)}
    folder = done(tmp_path, tests)
    assert read_json(folder.result)["outcomes"] == "attempts/1/outcomes.safetensors"
    found = read(folder)
    assert list(found) == list(names)
    for name, test in tests.items():
        assert {str(found[name].top5.dtype), str(found[name].labels.dtype)} == {"int16"}
        assert found[name].top5.tolist() == test.top5.tolist()
        assert found[name].labels.tolist() == test.labels.tolist()


def test_a_percentage_is_that_of_a_loop() -> None:
    found = outcomes(41, classes=9)
    rows = [list(top) for top in found.top5]
    for top in (1, 5):
        right = [label in row[:top] for row, label in zip(rows, found.labels, strict=True)]
        assert found.percent(top) == 100 * sum(right) / 41
    assert 0 < found.percent(1) < found.percent(5) < 100


def test_a_step_without_any_has_none(tmp_path: Path) -> None:
    folder = done(tmp_path, {})
    assert folder.outcomes is None
    assert read(folder) == {}
    assert "outcomes" not in read_json(folder.result)


def test_a_missing_and_a_torn_file_are_named(tmp_path: Path) -> None:
    folder = done(tmp_path, {"": outcomes(7)})
    (file,) = [attempt.outcomes for attempt in folder.attempts()]
    whole = file.read_bytes()
    for left in (b"", whole[:5], whole[:-1]):
        file.write_bytes(left)
        with pytest.raises(SimclrSpecError, match=rf"^{file} is damaged: .*\. Restore the file or delete the run folder$"):
            read(folder)
    file.unlink()
    with pytest.raises(SimclrSpecError) as caught:
        read(folder)
    assert str(caught.value) == f"{file} is missing, though its Step is done: restore the file or delete the run folder"


def test_only_of_equal_test_lists_is_it_said_that_they_are_paired(tmp_path: Path) -> None:
    a, b, other = (done(tmp_path / name, {"": outcomes(7)}, digest) for name, digest in (("a", "1"), ("b", "1"), ("c", "2")))
    before, running = done(tmp_path / "d", {}), RunFolder(tmp_path / "e")
    assert paired(a, b)
    assert not any(paired(a, folder) or paired(folder, a) for folder in (other, before, running))
    assert not paired(before, before)


def test_of_imagenet_they_are_small(tmp_path: Path) -> None:
    write(tmp_path / "x", {"": outcomes(50_000, classes=1000)})
    assert (tmp_path / "x").stat().st_size < 601_000
