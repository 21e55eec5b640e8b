"""Whole Steps on real run folders: every stage on the digits, resuming, stopping, failing."""

from __future__ import annotations

import json
import math
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from simclr_spec.cli.show.live import describe
from simclr_spec.core.code import code_version
from simclr_spec.core.errors import TrainingError, UsageError
from simclr_spec.core.files import read_json
from simclr_spec.store.layout import RunFolder, Store
from simclr_spec.train.checkpoint import checkpoints
from simclr_spec.train.evaluate import Neighbours
from simclr_spec.train.loop.execute import execute
from simclr_spec.train.loop.trainer import Trainer
from simclr_spec.train.stage import classification
from simclr_spec.train.stages import pretrain as module
from tests import runs
from tests.steps import prepare


def done(folder: RunFolder) -> RunFolder:
    execute(folder.path)
    assert folder.state() == "done"
    return folder


def lines(folder: RunFolder, attempt: int = -1) -> list[dict[str, Any]]:
    return [json.loads(line) for line in folder.attempts()[attempt].metrics.read_text().splitlines()]


def parts(folder: RunFolder) -> set[str]:
    return {name.partition(".")[0] for name in load_file(folder.weights)}


def same_weights(one: RunFolder, other: RunFolder) -> bool:
    return one.weights.read_bytes() == other.weights.read_bytes()


def test_the_chain_of_stages(store: Store) -> None:
    """Pretrain, linear evaluation, fine-tuning, self-distillation, distillation into a narrower network."""
    pretrain = done(prepare(store, "pretrain", linear_head=True, knn_every=1, train_steps=50, encoder__base_width=4))
    result = read_json(pretrain.result)
    assert {"loss", "contrast_top1", "knn_top1", "linear_top1", "linear_top5"} <= result["metrics"].keys()
    assert result["metrics"]["knn_top1"] > 20  # chance is 10
    assert result["train_steps"] == 50
    assert result["seconds"] > 0
    assert result["environment"]["threads"] == torch.get_num_threads()
    assert parts(pretrain) == {"encoder", "head"}

    linear = done(prepare(store, "linear_eval", {"from": pretrain}, encoder__base_width=4))
    assert parts(linear) == {"classifier"}
    moved = done(prepare(store, "linear_eval", {"from": pretrain}, encoder__base_width=4, encoder_bn="train"))
    assert parts(moved) == {"encoder", "classifier"}
    finetune = done(prepare(store, "finetune", {"from": pretrain}, encoder__base_width=4))
    assert parts(finetune) == {"encoder", "head", "classifier"}
    assert read_json(finetune.result)["metrics"].keys() == {"loss", "train_top1", "top1", "top5"}
    teacher = done(prepare(store, "distill", {"teacher": finetune}, encoder__base_width=4))
    student = done(prepare(store, "distill", {"teacher": teacher}, alpha=0.5))
    assert parts(student) == {"encoder", "classifier"}

    curve = lines(pretrain)
    assert (curve[0]["train_step"], curve[-1]["train_step"]) == (0, 50)
    assert curve[0].keys() >= {"train_steps", "epoch", "loss", "learning_rate", "images_per_second", "time"}
    assert any("knn_top1" in line for line in curve)
    for told in (result["metrics"], curve[-1]):  # what people see is the contrastive loss alone
        assert told["linear_loss"] > 0.1
        assert told["total_loss"] == pytest.approx(told["loss"] + told["linear_loss"])
    assert describe(curve[-1])[1] == f"loss {curve[-1]['loss']:.3f}"
    landmarks = [line for line in pretrain.attempts()[0].log.read_text().splitlines() if " train step " in line]
    assert all(re.search(r"epoch [\d.]+, loss [\d.]+, total_loss [\d.]+, contrast_top1", line) for line in landmarks), landmarks
    assert [a.checkpoint.exists() for a in pretrain.attempts()] == [False]


def test_supervised_training_learns_the_digits(store: Store) -> None:
    options: dict[str, Any] = {
        "labels__fraction": 1.0,
        "train_steps": 120,
        "encoder__base_width": 8,
        "learning_rate": 0.2,
        "batch": 64,
    }
    folder = done(prepare(store, "supervised", **options, augment__crop_area_min=0.8))
    assert read_json(folder.result)["metrics"]["top1"] > 80


def test_a_step_that_is_done_is_left_alone(store: Store) -> None:
    folder = done(prepare(store, "supervised", train_steps=2))
    before = folder.result.stat().st_mtime_ns
    execute(folder.path)
    assert folder.result.stat().st_mtime_ns == before
    assert len(folder.attempts()) == 1


def test_a_checkout_without_git_has_a_version_all_the_same(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    code_version.cache_clear()
    monkeypatch.setenv("PATH", "")
    assert read_json(done(prepare(store, "supervised", train_steps=2)).result)["environment"]["code"] == version("simclr-spec")
    code_version.cache_clear()


def test_the_version_is_that_of_the_code_when_training_began(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    code_version.cache_clear()
    expected = code_version()
    code_version.cache_clear()

    def updated(*_: object) -> bool:
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=0, stdout="another"))
        return True

    monkeypatch.setattr("simclr_spec.train.data.datasets.unchanged", updated)
    assert read_json(done(prepare(store, "supervised", train_steps=2)).result)["environment"]["code"] == expected


def test_a_step_in_other_hands_is_left_quietly(store: Store) -> None:
    folder = prepare(store, "supervised", train_steps=2)
    with folder.leased() as mine:
        assert mine
        execute(folder.path)
    assert folder.attempts() == []


def test_the_same_step_gives_the_same_bits_and_another_seed_others(store: Store, tmp_path: Path) -> None:
    first = done(prepare(store, "pretrain", memory__enabled=True))
    second = done(prepare(Store(tmp_path / "again"), "pretrain", memory__enabled=True))
    other = done(prepare(store, "pretrain", memory__enabled=True, seed=1))
    assert same_weights(first, second)
    assert read_json(first.result)["metrics"] == read_json(second.result)["metrics"]
    assert not same_weights(first, other)


@pytest.mark.parametrize(
    "options", [{"micro_batch": 8}, {"channels_last": True, "encoder__base_width": 8}, {"precision": "bf16"}, {"batch": 30}]
)
def test_execution_options_train(store: Store, options: dict[str, Any]) -> None:
    folder = done(prepare(store, "pretrain", train_steps=3, **options))
    assert all(tensor.isfinite().all() for tensor in load_file(folder.weights).values())


def test_a_micro_batch_that_does_not_divide_the_batch_is_refused(store: Store) -> None:
    """A rest of one image would have no variance."""
    with pytest.raises(UsageError, match="micro_batch 13 does not divide the batch of 14 images"):
        execute(prepare(store, "supervised", labels__fraction=0.01, micro_batch=13).path)


def test_a_failure_in_the_evaluation_costs_no_training(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMCLR_SPEC_CHECKPOINT_SECONDS", "0")
    folder = prepare(store, "pretrain", train_steps=3)
    with monkeypatch.context() as patch:
        patch.setattr("simclr_spec.train.stages.pretrain.BANK_NUMBERS", 0)
        with pytest.raises(RuntimeError, match="split_size"):
            execute(folder.path)
    text = folder.attempts()[0].log.read_text()
    assert ("failed: RuntimeError: " in text, "Traceback" in text) == (True, True), "nobody's mistake but ours: all there is"
    done(folder)
    assert read_json(folder.attempts()[-1].record)["resumed_from"] == {"attempt": 1, "train_step": 3}
    whole = done(prepare(Store(tmp_path / "whole"), "pretrain", train_steps=3))
    assert same_weights(folder, whole)
    assert read_json(folder.result)["metrics"] == read_json(whole.result)["metrics"]


def test_test_images_bound_the_bank_of_the_nearest_neighbours(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten training images for each test image; in whatever parts they pass by, the metric is the same."""
    seen: list[int] = []
    classes: list[torch.Tensor] = []
    see = Neighbours.see

    def count(self: Neighbours, bank: torch.Tensor, labels: torch.Tensor) -> None:
        seen.append(len(labels))
        classes.append(labels.bincount(minlength=10))
        see(self, bank, labels)

    monkeypatch.setattr(Neighbours, "see", count)
    whole = done(prepare(store, "pretrain", train_steps=3, test_images=20))
    assert seen == [200]
    assert classes[0].tolist() == [20] * 10
    monkeypatch.setattr("simclr_spec.train.stages.pretrain.BANK_NUMBERS", 16 * 150)
    parts = done(prepare(Store(store.path / "parts"), "pretrain", train_steps=3, test_images=20))
    assert seen[1:] == [150, 50]
    assert read_json(parts.result)["metrics"] == read_json(whole.result)["metrics"]


def test_a_batch_larger_than_the_examples(store: Store) -> None:
    """14 labelled images and a batch of 32: all of them in every train step, or images that recur in a batch."""
    cut = done(prepare(store, "supervised", labels__fraction=0.01, train_steps=None, epochs=3.0))
    recurring = done(prepare(store, "supervised", labels__fraction=0.01, train_steps=3, batch_at_most_examples=False))
    assert read_json(cut.result)["train_steps"] == 4  # floor(14 x 3 / 14) + 1
    assert lines(cut)[-1]["epoch"] == pytest.approx(4)
    assert lines(recurring)[-1]["epoch"] == pytest.approx(3 * 32 / 14, abs=1e-3)


def test_a_loss_that_is_not_finite_names_its_train_step(store: Store) -> None:
    """The first update has rate 1e30, so the second train step is the first to overflow."""
    folder = prepare(store, "supervised", learning_rate=1e30, learning_rate_scaling="none", warmup=0.0)
    with pytest.raises(TrainingError, match=r"the loss became (nan|inf) at train step 2 of 12"):
        execute(folder.path)
    assert folder.state() == "failed"
    record = read_json(folder.attempts()[0].record)
    assert record["error"].startswith("the loss became")
    text = folder.attempts()[0].log.read_text()
    assert "Traceback" not in text
    assert text.splitlines()[-1].partition(" ")[2] == f"failed: {record['error']}"


def test_an_exhausted_device_is_told_in_a_sentence_and_its_log_keeps_where(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object) -> None:
        raise torch.OutOfMemoryError("Tried to allocate 20.00 GiB")

    monkeypatch.setattr("simclr_spec.train.loop.trainer.Trainer.advance", exhausted)
    folder = prepare(store, "pretrain", train_steps=3)
    with pytest.raises(TrainingError, match="ran out of memory: use more devices, or set micro_batch"):
        execute(folder.path)
    text = folder.attempts()[0].log.read_text()
    assert ("Tried to allocate 20.00 GiB" in text, "Traceback" in text) == (True, True)


def _log(folder: RunFolder, attempt: int = -1) -> list[str]:
    """Lines without their times."""
    return [line.partition(" ")[2] for line in folder.attempts()[attempt].log.read_text().splitlines()]


def test_the_log_has_landmarks_of_the_curve_and_the_result(store: Store) -> None:
    folder = done(prepare(store, "pretrain", knn_every=1, train_steps=60, batch=32, encoder__base_width=4))
    log, metrics = _log(folder), read_json(folder.result)["metrics"]
    assert log[1] == "60 train steps, 1.336 epochs, batch 32, 1,437 images, on cpu"
    told = [line for line in log if line.startswith("train step")]
    assert [int(line.split()[2]) for line in told] == [6, 15, 30, 45, 60]  # the first epoch ends with train step 45
    assert all(re.search(r"of 60, epoch [\d.]+, loss [\d.]+, contrast_top1 [\d.]+.*, [\d,]+ images/s$", line) for line in told)
    assert ["knn_top1" in line for line in told] == [False, False, False, True, False]
    last = lines(folder)[-1]
    assert f"epoch {last['epoch']:.4g}, loss {last['loss']:.4g}, " in told[-1]
    assert log[-2].startswith(f"result: knn_top1 {metrics['knn_top1']:.4g}, after ")
    assert log[-1] == "done"


def test_a_resumed_steps_landmarks_are_those_that_were_left(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMCLR_SPEC_CHECKPOINT_STEPS", "7")
    folder = prepare(store, "supervised", train_steps=20)
    advance = Trainer.advance
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "advance", lambda run: advance(run) if run.done < 8 else os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            execute(folder.path)
    done(folder)
    assert [line.split()[2] for line in _log(folder, 0) if line.startswith("train step")] == ["2", "5"]
    assert "goes on from train step 7 of attempt 1" in _log(folder)
    assert [line.split()[2] for line in _log(folder) if line.startswith("train step")] == ["10", "15", "20"]


def test_a_linear_head_that_diverges_is_told_although_its_loss_is_not_shown(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "classification", lambda logits, labels: classification(logits * math.nan, labels))
    with pytest.raises(TrainingError, match="the loss became nan at train step 1 of 12"):
        execute(prepare(store, "pretrain", linear_head=True).path)


# Processes that are stopped or killed


LONG: dict[str, Any] = {"memory__enabled": True, "linear_head": True, "train_steps": 120, "batch": 16}


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts `python -m simclr_spec.train FOLDER` with a checkpoint every few train steps."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(folder: RunFolder, **environment: str) -> subprocess.Popen[bytes]:
        variables = os.environ | {"SIMCLR_SPEC_CHECKPOINT_STEPS": "7", "SIMCLR_SPEC_THREADS": "1"} | environment
        root = Path(__file__).parents[3]
        command = [sys.executable, "-m", "simclr_spec.train", str(folder.path)]
        started.append(subprocess.Popen(command, env=variables, cwd=root, stderr=subprocess.PIPE))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def test_a_stopped_step_leaves_a_checkpoint_and_goes_on(store: Store, tmp_path: Path, start: Any) -> None:
    folder = prepare(store, "pretrain", **LONG)
    for number in (signal.SIGTERM, signal.SIGUSR2):
        attempts = len(folder.attempts())
        process = start(folder)
        runs.wait_for(lambda: len(folder.attempts()) > attempts and folder.attempts()[-1].checkpoint.exists())  # noqa: B023
        process.send_signal(number)
        assert process.wait(60) == os.EX_TEMPFAIL
        assert folder.state() == "interrupted"
        assert read_json(folder.attempts()[-1].record)["state"] == "interrupted"
    reached = checkpoints(folder, read_json(folder.step)["fingerprint"])[0].train_step
    done(folder)
    assert read_json(folder.attempts()[-1].record)["resumed_from"] == {"attempt": 2, "train_step": reached}
    assert same_weights(folder, done(prepare(Store(tmp_path / "whole"), "pretrain", **LONG)))


def test_killed_at_any_instant_it_ends_with_the_same_bits(store: Store, tmp_path: Path, start: Any) -> None:
    whole = done(prepare(Store(tmp_path / "whole"), "pretrain", **LONG))
    folder, instants = prepare(store, "pretrain", **LONG), random.Random(0)
    for sign in ("record.json", "metrics.jsonl", "checkpoint.safetensors", "record.json", "checkpoint.safetensors"):
        before, process = len(folder.attempts()), start(folder)
        runs.wait_for(lambda: len(folder.attempts()) > before and (folder.attempts()[-1].path / sign).exists())  # noqa: B023
        time.sleep(instants.uniform(0, 0.2))
        process.kill()
        process.wait()
        assert not folder.done
    done(folder)
    resumed = [read_json(a.record)["resumed_from"] for a in folder.attempts() if a.record.exists()]
    assert resumed[-1] is not None
    assert same_weights(folder, whole)
    assert read_json(folder.result)["metrics"] == read_json(whole.result)["metrics"]
    assert not any(
        path.name.startswith(".") or "checkpoint" in path.name for a in folder.attempts() for path in a.path.iterdir()
    )


def test_a_damaged_newest_checkpoint_is_skipped(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: Any
) -> None:
    folder = prepare(store, "supervised", train_steps=60)
    process = start(folder)
    runs.wait_for(lambda: folder.attempts() and folder.attempts()[-1].checkpoint.exists())
    process.kill()
    process.wait()
    first = folder.attempts()[0]
    whole = first.checkpoint.read_bytes()
    later = folder.new_attempt()
    later.checkpoint.write_bytes(whole[: len(whole) // 2])
    done(folder)
    assert read_json(folder.attempts()[-1].record)["resumed_from"]["attempt"] == 1
    assert same_weights(folder, done(prepare(Store(tmp_path / "whole"), "supervised", train_steps=60)))


def test_two_processes_learn_what_one_learns(store: Store, tmp_path: Path, start: Any) -> None:
    """Shares of the batch, global BN and one packed average of gradients: only the order of sums differs."""
    options: dict[str, Any] = {"train_steps": 3, "memory__enabled": True, "linear_head": True, "batch": 32}
    alone, together = done(prepare(Store(tmp_path / "one"), "pretrain", **options)), prepare(store, "pretrain", **options)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with_port = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    processes = [start(together, RANK=str(rank), **with_port) for rank in range(2)]
    ended = [(process.communicate(timeout=120)[1], process.returncode) for process in processes]
    assert [code for _, code in ended] == [0, 0], ended
    assert len(together.attempts()) == 1
    assert read_json(together.result)["environment"]["world_size"] == 2
    one, two = load_file(alone.weights), load_file(together.weights)
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-3)
    measured = read_json(alone.result)["metrics"], read_json(together.result)["metrics"]
    assert measured[1]["loss"] == pytest.approx(measured[0]["loss"], rel=1e-4)
    # Not the mean: in the first train step the momentum encoder is the online one, and what is largest of equals is rounding.
    assert lines(together)[-1]["contrast_top1"] == pytest.approx(lines(alone)[-1]["contrast_top1"], abs=1.1)
