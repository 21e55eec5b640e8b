"""What TensorFlow writes is read bit for bit, and what our writer of tests writes TensorFlow reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from simclr_spec.core.errors import WeightsError
from simclr_spec.data.bundle import table
from simclr_spec.data.bundle.bundle import Bundle, find
from tests.data.bundle.writing import write_bundle
from tests.places import GOLDEN
from tests.tensorflow.conftest import Tensorflow
from tests.tensorflow.names import official_tensors

Tensors = Mapping[str, NDArray[Any]]


def golden(folder: Path, key: str) -> list[dict[str, Any]]:
    """Of a golden file, its networks: several heads, or one."""
    facts = json.loads((folder / f"{key}.json").read_text())
    return facts if isinstance(facts, list) else [facts]


def saved(tmp_path: Path, tensors: Tensors) -> Path:
    np.savez(tmp_path / "tensors.npz", **tensors)  # type: ignore[arg-type]
    return tmp_path / "tensors.npz"


def check(bundle: Bundle | None, tensors: Tensors) -> None:
    assert bundle is not None
    assert sorted(bundle.shapes) == sorted(tensors)
    for name, value in tensors.items():
        found = bundle.read(name)
        assert found.dtype == value.dtype
        assert bundle.shapes[name] == found.shape == value.shape
        assert found.tobytes() == value.tobytes(), name


@pytest.mark.parametrize("key", ["resnet_r18_w1_odd", "projection_head", "trajectory_finetune"])
def test_small_networks(key: str, tmp_path: Path, tensorflow: Tensorflow) -> None:
    """With all that is saved beside the variables; the moving averages in those that were not fine-tuned."""
    for number, facts in enumerate(golden(GOLDEN, key)):
        tensors = official_tensors(facts["variables"], facts["seed"], ema=key != "trajectory_finetune")
        prefix = tmp_path / f"model.ckpt-{number}"
        tensorflow("saver", saved(tmp_path, tensors), prefix)
        check(find(prefix), tensors)


@pytest.mark.parametrize("key", ["resnet_r50_w1_sk0", "resnet_r50_w1_sk"])
def test_large_networks(key: str, tmp_path: Path, tensorflow: Tensorflow, shared: Path) -> None:
    (facts,) = golden(shared / "golden", key)
    tensors = official_tensors(facts["variables"], facts["seed"], slots=False)
    tensorflow("saver", saved(tmp_path, tensors), tmp_path / "model.ckpt-1")
    check(find(tmp_path / "model.ckpt-1.index"), tensors)


def test_a_saved_model(tmp_path: Path, tensorflow: Tensorflow) -> None:
    """Its names are those of the variables, not their paths through the module."""
    (facts,) = golden(GOLDEN, "trajectory_finetune")
    tensors = official_tensors(facts["variables"], facts["seed"], slots=False)
    tensorflow("saved_model", saved(tmp_path, tensors), tmp_path / "saved")
    check(find(tmp_path / "saved"), tensors)


def test_types(tmp_path: Path, tensorflow: Tensorflow) -> None:
    """Texts and truth values are no weights."""
    values = np.array([[-1.5, 0.0, 3.14159, 65.0], [1e-3, 7.0, -0.0, 2.0]])
    signed = ("float64", "float32", "float16", "int64", "int32", "int16", "int8")
    tensors = {name: values.astype(name) for name in signed} | {name: abs(values).astype(name) for name in ("uint16", "uint8")}
    tensorflow("types", saved(tmp_path, {**tensors, "bfloat16": values}), tmp_path / "types")
    bundle = Bundle(tmp_path / "types")
    np.testing.assert_allclose(bundle.read("bfloat16"), values, rtol=2**-8)
    assert bundle.read("bfloat16").dtype == np.float32
    assert set(bundle.shapes) == {*tensors, "bfloat16"}
    for name, value in tensors.items():
        assert bundle.read(name).tobytes() == value.tobytes(), name


def test_several_shards(tmp_path: Path, tensorflow: Tensorflow) -> None:
    tensors = {f"layer_{k}/kernel": np.arange(k, k + 5.0) for k in range(9)}
    tensorflow("two_shards", saved(tmp_path, tensors), tmp_path / "m")
    check(find(tmp_path / "m"), tensors)
    assert len(Bundle(tmp_path / "m").files) == 3


def test_slices_are_refused(tmp_path: Path, tensorflow: Tensorflow) -> None:
    tensorflow("slices", tmp_path / "m")
    with pytest.raises(WeightsError, match=r"m\.index: '?\w+.* is stored in slices, which are not read"):
        Bundle(tmp_path / "m")


@pytest.mark.parametrize(("shards", "block"), [(1, 2**18), (3, 100)])
def test_our_writer_is_honest(shards: int, block: int, tmp_path: Path, tensorflow: Tensorflow) -> None:
    facts = golden(GOLDEN, "projection_head")[0]
    tensors = official_tensors(facts["variables"], facts["seed"], ema=True)
    write_bundle(tmp_path / "m", tensors, shards=shards, block=block)
    check(find(tmp_path / "m"), tensors)
    tensorflow("read", tmp_path / "m", tmp_path / "read.npz")
    with np.load(tmp_path / "read.npz") as read:
        assert sorted(read.files) == sorted(tensors)
        for name, value in tensors.items():
            assert read[name].tobytes() == value.tobytes(), name


def test_our_writer_writes_as_tensorflow_does(tmp_path: Path, tensorflow: Tensorflow) -> None:
    """The same bytes in the shard; the same entries in the index."""
    facts = golden(GOLDEN, "projection_head")[0]
    tensors = official_tensors(facts["variables"], facts["seed"])
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    tensorflow("saver", saved(tmp_path, tensors), theirs)
    write_bundle(ours, tensors)
    (their_index, their_shard), (our_index, our_shard) = Bundle(theirs).files, Bundle(ours).files
    assert their_shard.read_bytes() == our_shard.read_bytes()
    assert list(table.entries(their_index.read_bytes())) == list(table.entries(our_index.read_bytes()))


def test_a_real_saved_model(tensorflow: Tensorflow) -> None:
    """Of basic-pitch 0.4 (Spotify, Apache-2.0): names by layer, the optimiser's slots, counters."""
    folder = tensorflow("where", "basic_pitch")
    if not folder:
        pytest.skip("needs basic-pitch beside TensorFlow, without what it depends on: make test-tensorflow")
    bundle = find(Path(folder) / "saved_models" / "icassp_2022" / "nmp")
    assert bundle is not None
    assert len(bundle.shapes) == 73
    assert bundle.shapes["conv2d_2/kernel"] == (7, 7, 1, 32)
    assert all(np.isfinite(bundle.read(name)).all() for name in bundle.shapes)


@pytest.mark.parametrize("name", ["model.ckpt-250228", "saved_model"])
def test_what_tensorflow_wrote_is_read_where_it_is_not_installed(name: str) -> None:
    """A head as TensorFlow 2.21 wrote it, by `saver` and by `saved_model` of write.py."""
    facts = golden(GOLDEN, "projection_head")[0]
    check(find(GOLDEN / "tensorflow" / name), official_tensors(facts["variables"], facts["seed"], slots=False))
