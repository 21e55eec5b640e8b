"""Predictions and features of folders: those of the evaluation, in every batch, and all that cannot be read is told."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch
from PIL import Image

import simclr_spec
from simclr_spec.core.errors import DataError, UsageError
from simclr_spec.core.files import read_json
from simclr_spec.data.loaders.digits import LOADER
from simclr_spec.store import outcomes
from simclr_spec.train import evaluate
from simclr_spec.train.data import photos
from simclr_spec.train.handing_on.images import Folder, embed, predict, write_npz, write_parquet
from simclr_spec.train.handing_on.streamed import streamed
from simclr_spec.train.model.network import Network
from tests.trained import Trained


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test images in the order of their names, some of them deeper than others, and what is no image."""
    place, test = tmp_path_factory.mktemp("digits"), LOADER.read(None).test
    for i, pixels in enumerate(test.pixels):
        below = place / f"{i // 100}" / ("deep" if i < 200 else "")
        below.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.transpose(1, 2, 0)).save(below / f"{i:03}.png")
    (place / "notes.txt").write_text("no image")
    (place / ".hidden.png").write_text("no image")
    return place


def predicted(network: Network, folder: Path, *names: str) -> list[list[str]]:
    out = io.BytesIO()
    predict(network, Folder(folder), out, names)
    return [*csv.reader(out.getvalue().decode().splitlines())]


@pytest.mark.parametrize("name", ["finetune", "linear_eval_on_the_head", "distill"])
def test_what_is_predicted_is_what_was_tested(trained: Trained, digits: Path, name: str) -> None:
    folder = trained.folders[name]
    head, *rows = predicted(simclr_spec.load(folder.path), digits)
    assert head == ["file", *(f"{what}_{place}" for place in range(1, 6) for what in ("class", "probability"))]
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert [Path(row[0]).name for row in rows] == [f"{i:03}.png" for i in range(360)]
    tested = outcomes.read(folder)[""]
    assert [[*map(int, row[1::2])] for row in rows] == tested.top5.tolist()
    right = sum(int(row[1]) == label for row, label in zip(rows, tested.labels, strict=True))
    assert 100 * right / 360 == read_json(folder.result)["metrics"]["top1"]
    shares = trained.outputs[name].softmax(1).sort(1, descending=True).values
    np.testing.assert_allclose([[*map(float, row[2::2])] for row in rows], shares[:, :5], rtol=1e-5)


def test_every_batch_goes_by_its_own_files(trained: Trained, digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = simclr_spec.load(trained.folders["finetune"].path)
    whole, features = predicted(network, digits), embed(network, Folder(digits), 1)
    monkeypatch.setattr(evaluate, "BATCH", 7)
    parts = predicted(network, digits)
    assert [row[0] for row in parts] == [row[0] for row in whole]
    np.testing.assert_allclose([float(row[2]) for row in parts[1:]], [float(row[2]) for row in whole[1:]], rtol=1e-4)
    np.testing.assert_allclose(embed(network, Folder(digits), 1), features, rtol=1e-4, atol=1e-5)


def test_features_are_those_of_the_network(trained: Trained, digits: Path, tmp_path: Path) -> None:
    network, folder = simclr_spec.load(trained.folders["pretrain"].path), Folder(digits)
    found = embed(network, folder, 0)
    assert torch.equal(torch.from_numpy(found), trained.outputs["pretrain"])
    with streamed(str(tmp_path / "a" / "x.npz")) as out:
        write_npz(out, folder.files, found)
    with np.load(tmp_path / "a" / "x.npz") as arrays:
        assert np.array_equal(arrays["features"], found)
        assert arrays["files"].tolist() == folder.files
    assert embed(network, folder, 3).shape == (360, 16)
    with pytest.raises(UsageError, match="there is no layer 4: this network has layers 0 to 3"):
        embed(network, folder, 4)


def test_parquet_holds_the_same(trained: Trained, digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simclr_spec.train.handing_on.images.ROWS", 100)
    folder, out = Folder(digits), io.BytesIO()
    found = embed(simclr_spec.load(trained.folders["pretrain"].path), folder, 0)
    write_parquet(out, folder.files, found)
    table = pyarrow.parquet.read_table(io.BytesIO(out.getvalue()))
    assert table["file"].to_pylist() == folder.files
    assert np.array_equal(np.array(table["features"].to_pylist(), dtype=np.float32), found)


def test_all_images_that_cannot_be_read_are_told(
    trained: Trained, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "BATCH", 2)
    monkeypatch.setattr(photos, "LOOKED_AT", 2)
    whole = (digits / "3" / "300.png").read_bytes()
    for i in range(9):
        (tmp_path / f"{i}.png").write_bytes(whole[:50] if i in (3, 8) else whole)
    network = simclr_spec.load(trained.folders["finetune"].path)
    with pytest.raises(DataError) as error:
        predicted(network, tmp_path)
    told = str(error.value).splitlines()
    assert [f"{i}.png" in line for i, line in zip((3, 8), told, strict=True)] == [True, True]
    (tmp_path / "x.heic").touch()
    with pytest.raises(DataError, match=r"x\.heic is an image of a kind that is not read"):
        Folder(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no image"):
        Folder(tmp_path / "empty")
    with pytest.raises(DataError, match=r"^[^\n]*nowhere cannot be looked into: No such file[^\n]*$"):
        Folder(tmp_path / "nowhere")


def test_names_of_classes_are_the_networks_or_given(trained: Trained, digits: Path) -> None:
    network, names = simclr_spec.load(trained.folders["finetune"].path), "abcdefghij"
    known = predicted(network, digits)[1][1]
    with pytest.raises(UsageError, match="finetune knows the names of its classes: leave out --classes"):
        predicted(network, digits, *names)
    object.__setattr__(network.about, "classes", tuple(f"\x1b[2J{name}" for name in names))
    assert predicted(network, digits)[1][1] == f"\\x1b[2J{names[int(known)]}", "nothing that a terminal would obey"
    object.__setattr__(network.about, "classes", ())
    assert predicted(network, digits)[1][1] == known, "numbers, which are what digits are called"
    assert predicted(network, digits, *names)[1][1] == names[int(known)]
    with pytest.raises(UsageError, match="--classes names 2 classes, and the network tells 10 apart"):
        predicted(network, digits, "a", "b")
    with pytest.raises(UsageError, match="pretrain has no classifier, so it predicts nothing: `simclr-spec embed`"):
        predicted(simclr_spec.load(trained.folders["pretrain"].path), digits)


def test_what_is_streamed_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with streamed(str(path)) as out:
        out.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    with pytest.raises(TypeError), streamed(str(path)) as out:
        out.writelines([b"other", "no bytes"])  # type: ignore[list-item]
    assert [file.name for file in tmp_path.iterdir()] == ["x"]
    assert path.read_bytes() == b"whole"
    with pytest.raises(UsageError, match=r"^cannot write .*x/y: "), streamed(str(path / "y")):
        pass
