"""Whether data is there, asked without loading torch."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner

from simclr_spec.cli.main import main
from simclr_spec.core.errors import DataError
from simclr_spec.data import roots as data_roots
from simclr_spec.data.loaders import cifar10
from simclr_spec.data.registry import LOADERS


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for file in cifar10.FILES:
        (tmp_path / cifar10.FOLDER).mkdir(exist_ok=True)
        (tmp_path / cifar10.FOLDER / file).touch()
    (tmp_path / "imagenet" / "train").mkdir(parents=True)
    (tmp_path / "imagenet" / "val").mkdir()
    return tmp_path


def test_what_is_there_is_found_in_the_root_or_its_subfolder(root: Path) -> None:
    assert LOADERS["cifar10"].find("cifar10", [str(root)]) == root / "cifar-10-batches-py"
    assert LOADERS["image_folder"].find("imagenet", [str(root)]) == root / "imagenet"
    assert LOADERS["digits"].find("digits", []) is None


def test_roots_come_from_the_option_then_the_environment_then_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIMCLR_SPEC_DATA", raising=False)
    assert data_roots.data_roots() == ["data"]
    monkeypatch.setenv("SIMCLR_SPEC_DATA", os.pathsep.join(["/a", "imagenet=/b"]))
    assert data_roots.data_roots() == ["/a", "imagenet=/b"]
    assert data_roots.data_roots(["/c"]) == ["/c"]


def test_paths_may_have_equals_signs_and_colons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NAME= is a data set's only where NAME is a plain word; a runner tells its workers the roots by lines."""
    odd = str(tmp_path / "a=b:c")
    assert data_roots.list_folders([f"imagenet={odd}"]) == [Path(odd) / "imagenet_subsets", Path(odd)]
    assert data_roots.folders("digits", [odd, f"digits={odd}", f"other={odd}"])[1::2] == [Path(odd)] * 2
    monkeypatch.setenv("SIMCLR_SPEC_DATA", f"{odd}\n")
    assert data_roots.data_roots() == [odd]


def test_a_root_is_a_folder_on_one_line(tmp_path: Path) -> None:
    """An unset variable of a shell is no root: ./data and the working directory would both pass for it."""
    for root in ("", " ", "pets=", "a\nb"):
        done = CliRunner().invoke(main, ["plan", "quickstart", "--store", str(tmp_path / "runs"), "--data-root", root])
        assert (done.exit_code, done.output) == (
            2,
            "--data-root wants the name of a folder, on one line; NAME=DIR for one data set only\n",
        )


def test_roots_of_other_names_and_of_nobody_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"\(looked in no root for this data set\): NAME=DIR was given for 'pet'; say where"):
        LOADERS["image_folder"].find("pets", [f"pet={tmp_path}"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"looked in \S+/~nobody-of-this-name/x/pets"):
        LOADERS["image_folder"].find("pets", ["~nobody-of-this-name/x"])


def test_a_file_that_lacks_is_named(root: Path) -> None:
    (root / "cifar-10-batches-py" / "test_batch").unlink()
    with pytest.raises(DataError, match="test_batch is missing: say where it is with --data-root"):
        LOADERS["cifar10"].find("cifar10", [str(root)])


@pytest.mark.parametrize(("names", "told"), [(("train", "test"), "test and train"), (("Train", "val"), "Train and val")])
def test_folders_of_other_names_are_told(names: tuple[str, str], told: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / "pets" / name).mkdir(parents=True)
    (tmp_path / "pets" / "labels.csv").touch()
    with pytest.raises(DataError) as error:
        LOADERS["image_folder"].find("pets", [str(tmp_path)])
    sentence = f": {tmp_path}/pets has {told}, but needs folders named train and val; if it is another, say where it is with"
    assert sentence in str(error.value)


def test_a_folder_that_lacks_is_named_with_the_places(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        LOADERS["image_folder"].find("imagenet", [str(tmp_path)])
    assert str(error.value).startswith(
        "data set 'imagenet' (folders train and val, one subfolder a class) not found "
        f"(looked in {tmp_path}/imagenet, {tmp_path})"
    )


def test_a_pipe_among_label_lists_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    (tmp_path / "b.txt").touch()
    assert data_roots.label_list(sha256(b"").hexdigest(), [str(tmp_path)]) == tmp_path / "b.txt"


@pytest.mark.parametrize("before", [None, "/a:b=/c"])
def test_the_environment_says_so_meanwhile_and_then_what_it_said_before(
    before: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SIMCLR_SPEC_DATA", raising=False)
    if before is not None:
        monkeypatch.setenv("SIMCLR_SPEC_DATA", before)
    with data_roots.in_environment(["/x", "y=/z:z"]):
        assert data_roots.data_roots() == ["/x", "y=/z:z"]
    assert os.environ.get("SIMCLR_SPEC_DATA") == before
    with data_roots.in_environment([]):
        assert os.environ.get("SIMCLR_SPEC_DATA") == before
