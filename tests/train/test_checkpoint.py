"""Checkpoints and weights on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from simclr_spec.core.errors import WeightsError
from simclr_spec.store.layout import RunFolder
from simclr_spec.train.checkpoint import (
    checkpoints,
    delete_checkpoints,
    load_part,
    load_tensors,
    read_metadata,
    read_weights,
    write_checkpoint,
    write_tensors,
)

TENSORS = {"weight": torch.arange(6.0).view(2, 3), "half": torch.ones(2, dtype=torch.bfloat16)}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def leave(folder: RunFolder, train_step: int, fingerprint: str = "f") -> Path:
    attempt = folder.new_attempt()
    write_checkpoint(attempt, TENSORS, fingerprint=fingerprint, train_step=train_step, seconds=train_step / 3)
    return attempt.checkpoint


def test_the_furthest_checkpoint_of_any_attempt_comes_first(folder: RunFolder) -> None:
    for train_step in (4, 12, 7):
        leave(folder, train_step)
    leave(folder, 99, fingerprint="another Step")
    found = checkpoints(folder, "f")
    assert [c.train_step for c in found] == [12, 7, 4]
    assert found[0].seconds == 4.0
    assert {name: tensor.tolist() for name, tensor in found[0].tensors().items()} == {n: t.tolist() for n, t in TENSORS.items()}


@pytest.mark.parametrize("damage", [b"", b"\x10", b"not safetensors at all"])
def test_an_unreadable_checkpoint_is_no_checkpoint(folder: RunFolder, damage: bytes) -> None:
    leave(folder, 3)
    leave(folder, 9).write_bytes(damage)
    assert [c.train_step for c in checkpoints(folder, "f")] == [3]


def test_a_flipped_bit_anywhere_is_found(folder: RunFolder) -> None:
    """safetensors itself looks at neither the numbers nor the train step."""
    path = leave(folder, 9)
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        for checkpoint in checkpoints(folder, "f"):
            with pytest.raises(ValueError, match="its bytes are not those that were written"):
                checkpoint.tensors()
    path.write_bytes(data)
    assert checkpoints(folder, "f")[0].tensors()


def test_a_checkpoint_that_the_file_system_does_not_give_is_no_checkpoint(folder: RunFolder) -> None:
    leave(folder, 3)
    path = leave(folder, 9)
    path.unlink()
    path.mkdir()
    assert [c.train_step for c in checkpoints(folder, "f")] == [3]


def test_a_cut_off_checkpoint_is_no_checkpoint(folder: RunFolder) -> None:
    leave(folder, 3)
    path = leave(folder, 9)
    path.write_bytes(path.read_bytes()[:-1])
    assert [c.train_step for c in checkpoints(folder, "f")] == [3]


def test_deleting_leaves_nothing_of_checkpoints(folder: RunFolder) -> None:
    path = leave(folder, 3)
    half = path.parent / f".{path.name}.abc"
    half.write_bytes(b"half a checkpoint")
    other = path.parent / "log"
    other.write_text("stays")
    delete_checkpoints(folder)
    assert list(path.parent.iterdir()) == [other]


def test_a_file_that_may_be_anybodys(tmp_path: Path) -> None:
    """Nothing waits for a pipe, and no header is parsed that no network needs."""
    (tmp_path / "header").write_bytes((95 * 10**6).to_bytes(8, "little") + b"{}")
    os.mkfifo(tmp_path / "pipe")
    write_tensors(tmp_path / "w", TENSORS, {"a": "b"})
    assert read_metadata(tmp_path / "w") == {"a": "b"}
    assert {name: tensor.tolist() for name, tensor in load_tensors(tmp_path / "w").items()} == {
        n: t.tolist() for n, t in TENSORS.items()
    }
    for name, why in {
        "header": "is no safetensors file, or damaged: its header would have 95 MB",
        "pipe": "is no safetensors file, or damaged: it is no regular file",
        "": "is no safetensors file, or damaged: it is no regular file",
    }.items():
        for reader in (read_metadata, load_tensors):
            with pytest.raises(WeightsError) as error:
                reader(tmp_path / name)
            assert str(error.value) == f"{tmp_path / name} {why}"


def test_tensors_that_share_memory_are_written_apart(tmp_path: Path) -> None:
    whole = torch.arange(8.0)
    write_tensors(tmp_path / "w", {"a": whole[:4], "b": whole[2:6], "c": whole.view(2, 4).T})
    found = load_file(tmp_path / "w")
    assert found["b"].tolist() == [2, 3, 4, 5]
    assert found["c"].tolist() == [[0, 4], [1, 5], [2, 6], [3, 7]]


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    layer, source = nn.Linear(3, 2), tmp_path / "pretrain"
    with pytest.raises(WeightsError, match=r"pretrain has no tensor encoder\.bias, which this Step's network needs"):
        load_part(layer, {"encoder.weight": torch.zeros(2, 3)}, "encoder", source)
    with pytest.raises(
        WeightsError, match=r"encoder\.weight is \[2, 4\] in .*pretrain, but this Step's network needs \[2, 3\]"
    ):
        load_part(layer, {"encoder.weight": torch.zeros(2, 4)}, "encoder", source)


def test_weights_of_an_unfinished_or_damaged_step_are_refused(folder: RunFolder) -> None:
    with pytest.raises(WeightsError, match="has not finished"):
        read_weights(folder)
    attempt = folder.new_attempt()
    folder.commit(attempt, {})
    with pytest.raises(WeightsError, match="is missing, though its Step is done"):
        read_weights(folder)
    attempt.weights.write_bytes(b"garbage")
    with pytest.raises(WeightsError, match=r"weights\.safetensors is no safetensors file, or damaged: "):
        read_weights(folder)
