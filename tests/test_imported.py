"""Weights that were trained elsewhere, from the file to results: evaluated, evaluated linearly, fine-tuned, distilled."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from simclr_spec.core.fields import build
from simclr_spec.core.files import read_json
from simclr_spec.stages.common import AugmentConfig, DatasetConfig
from simclr_spec.store.layout import RunFolder, Store
from simclr_spec.store.results import results
from simclr_spec.train.data import datasets
from simclr_spec.train.data.photos import chunks
from simclr_spec.train.model.network import Network
from simclr_spec.train.views.augment import evaluation_view
from tests import imported, runs, tiny
from tests.imported import LAYOUTS, file_of, project, write


def folders(folder: Path) -> dict[str, RunFolder]:
    """By the stage."""
    steps = [(each, read_json(each.step)) for each in Store(folder / "runs").folders()]
    return {str(step["coordinates"]["stage"]): each for each, step in steps if step}


def run(folder: Path, *words: str) -> str:
    done = tiny.call(folder, "run", "mine.toml", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_file_goes_through_plan_and_run(layout: str, tmp_path: Path) -> None:
    project(tmp_path, layout)
    planned = tiny.call(tmp_path, "plan", "mine.toml")
    assert planned.returncode == 0, planned.stderr
    count = 5 if layout == "torchvision" else 6
    assert f"{count} Steps will run" in planned.stdout
    run(tmp_path)
    done = folders(tmp_path)
    assert len(done) == count
    assert all(each.done for each in done.values())
    check_import(tmp_path, layout, done["start"])
    check_audit(done["audit"], done["start"])
    for stage in ("linear", "tuned0", "student"):
        assert 0 <= read_json(done[stage].result)["metrics"]["top1"] <= 100
    assert "begins" not in run(tmp_path)


def check_import(folder: Path, layout: str, start: RunFolder) -> None:
    """What was read is said, in the result and in the log."""
    result, path = read_json(start.result), folder / "weights" / file_of(layout)
    parts = [path] if layout != "tensorflow" else [Path(f"{path}.index"), Path(f"{path}.data-00000-of-00001")]
    digest = sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()
    assert result["weights_sha256"] == digest
    assert (result["origin"], result["licence"]) == ("https://example.org/mine", "MIT")
    assert results(start.store).set_index("stage").loc["start", "weights_sha256"] == digest
    (attempt,) = start.attempts()
    log = attempt.log.read_text()
    assert f"reads {path}, SHA-256 {digest}" in log
    assert re.search(r"\d+ tensors are read.*; left aside: ", log)
    about = Network.of_folder(start).about
    assert (about.origin, about.licence) == (("https://example.org/mine",), ("MIT",))


def check_audit(audit: RunFolder, start: RunFolder) -> None:
    """Exactly what the network says of the test images; nothing of it stays but the outcomes."""
    step = read_json(audit.step)
    dataset: Any = build(DatasetConfig, step["params"]["dataset"])
    images, network = datasets.load(dataset), Network.of_folder(start).eval()
    with torch.no_grad():
        (chunk,) = chunks(images.test, torch.arange(len(images.test_labels)))
        logits = network(evaluation_view(chunk, build(AugmentConfig, step["params"]["augment"]), dataset.image_size))
    top1 = float((logits.argmax(1) == images.test_labels).double().mean() * 100)
    result = read_json(audit.result)
    assert result["metrics"]["top1"] == pytest.approx(top1)
    assert result["metrics"].keys() == {"top1", "top5"}
    assert result["test_list"]["images"] == len(images.test_labels)
    assert audit.outcomes is not None
    assert load_file(audit.weights) == {}


def test_killed_in_between_it_goes_on(tmp_path: Path) -> None:
    project(tmp_path)
    command = [*runs.command(tmp_path, name="run")[:3], "run", "mine.toml", "--set", "linear.train_steps=100000"]
    process = subprocess.Popen(command, cwd=tmp_path, env=runs.environment(), start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        runs.wait_for(lambda: folders(tmp_path).get("start") and folders(tmp_path)["start"].done)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    before = folders(tmp_path)["start"].result.read_bytes()
    run(tmp_path)
    assert folders(tmp_path)["start"].result.read_bytes() == before
    assert len(folders(tmp_path)["start"].attempts()) == 1


def test_another_file_under_the_name_is_a_fault(tmp_path: Path) -> None:
    """Also once the file was read: what would start from it would start from two networks."""
    project(tmp_path, "separius")
    path = tmp_path / "weights" / file_of("separius")
    run(tmp_path, "stage=start")
    first = sha256(path.read_bytes()).hexdigest()
    run(tmp_path, "stage=audit")
    write(path, "separius", seed=8)
    other = sha256(path.read_bytes()).hexdigest()
    told = (
        f"weights/mine/network.pth is not the file 'mine/network.pth': its SHA-256 is {other}, that of the first read was "
        f'{first}; put that one back, or declare sha256 = "{other}" in the weights file\n'
    )
    done = tiny.call(tmp_path, "run", "mine.toml")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(told)
    assert {*folders(tmp_path)} == {"start", "audit"}, "nothing started"
    assert tiny.call(tmp_path, "run", "mine.toml", "stage=audit").returncode == 0, "nothing would start from it"
    write(path, "separius")
    run(tmp_path)


def test_a_file_that_is_gone_is_missed_by_nobody_once_it_was_read(tmp_path: Path) -> None:
    project(tmp_path, "separius")
    run(tmp_path, "stage=start")
    (tmp_path / "weights" / file_of("separius")).unlink()
    run(tmp_path)
    assert len(folders(tmp_path)) == 6


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    project(tmp_path)
    for part in (tmp_path / "weights" / "mine").iterdir():
        part.unlink()
    done = tiny.call(tmp_path, "run", "mine.toml", "--weights-root", "there", "--weights-root", "here")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"the weights 'mine/network' are not there (looked in {tmp_path}/there, {tmp_path}/here): fetch them from "
        "https://example.org/mine (files .index and .data-00000-of-00001), or say where they lie with --weights-root or "
        "SIMCLR_SPEC_WEIGHTS\n"
    )
    assert not (tmp_path / "runs").exists()


def test_a_declared_file_may_have_any_name(tmp_path: Path) -> None:
    """By its SHA-256 it is the same Step; a file that is not that one is a fault before anything starts."""
    project(tmp_path, "separius")
    path = tmp_path / "weights" / file_of("separius")
    digest = sha256(path.read_bytes()).hexdigest()
    project(tmp_path, "separius", sha256=digest)
    path.rename(tmp_path / "weights" / "renamed.pth")
    missing = tiny.call(tmp_path, "run", "mine.toml", "stage=start")
    assert missing.returncode == 1
    (tmp_path / "weights.toml").write_text((tmp_path / "weights.toml").read_text().replace(file_of("separius"), "renamed.pth"))
    run(tmp_path, "stage=start")
    assert read_json(folders(tmp_path)["start"].step)["params"]["weights"]["file"] == "renamed.pth"
    write(tmp_path / "weights" / "renamed.pth", "separius", seed=8)
    done = tiny.call(tmp_path, "run", "mine.toml")
    assert done.returncode == 1
    assert f"declared is {digest}; fetch it again from https://example.org/mine, or correct sha256" in done.stderr


def test_the_name_in_an_unfinished_step_is_todays(tmp_path: Path) -> None:
    """The first attempt failed; by another name, the same Step reads the file."""
    project(tmp_path, "separius")
    path = tmp_path / "weights" / file_of("separius")
    path.write_bytes(b"<!DOCTYPE html>")
    digest = sha256(path.read_bytes()).hexdigest()
    weights = tmp_path / "weights.toml"
    weights.write_text(weights.read_text().replace("depth = 50 }", f'depth = 50, sha256 = "{digest}" }}'))
    done = tiny.call(tmp_path, "run", "mine.toml", "stage=start")
    assert done.returncode == 1
    assert "cannot read" in done.stdout
    assert "it is no file of tensors that torch wrote: it begins with b'<!DO'" in done.stdout
    path.rename(tmp_path / "weights" / "other.pth")
    weights.write_text(weights.read_text().replace(file_of("separius"), "other.pth"))
    assert "other.pth" in tiny.call(tmp_path, "run", "mine.toml", "stage=start").stdout
    assert read_json(folders(tmp_path)["start"].step)["params"]["weights"]["file"] == "other.pth"


def test_what_was_made_here_is_a_start_elsewhere(tmp_path: Path) -> None:
    """The weights of a run folder, of a network that was fine-tuned from layer 1."""
    (tmp_path / "one").mkdir()
    project(tmp_path / "one")
    run(tmp_path / "one", "+stage=tuned1")
    tuned = folders(tmp_path / "one")["tuned1"]
    spec = project(tmp_path)
    text = imported.WEIGHTS.format(
        layout="simclr-spec",
        depth=18,
        base=2,
        stem="cifar",
        max_pool="tensorflow",
        made_by="finetune",
        file="mine.safetensors",
        layers=1,
        more="",
    )
    (tmp_path / "weights.toml").write_text(text + "from_layer = 1\n")
    (tmp_path / "weights" / "mine.safetensors").write_bytes(tuned.weights.read_bytes())
    done = tiny.call(tmp_path, "run", str(spec), "+stage=audit")
    assert done.returncode == 0, done.stdout + done.stderr
    there = folders(tmp_path)
    for metric in ("top1", "top5"):
        assert read_json(there["audit"].result)["metrics"][metric] == read_json(tuned.result)["metrics"][metric]
    ours, theirs = load_file(there["start"].weights), load_file(tuned.weights)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_damaged_file_can_be_fetched_again(tmp_path: Path) -> None:
    """By several processes, which all end with the one that reads."""
    project(tmp_path, "separius")
    path = tmp_path / "weights" / file_of("separius")
    network = torch.load(path, weights_only=True)
    network["resnet"]["fc.weight"][0, 0] = torch.nan
    torch.save(network, path)
    (tmp_path / "runner.toml").write_text('kind = "local"\n\n[resources]\nprocesses = 2\n', encoding="utf-8")
    done = tiny.call(tmp_path, "run", "mine.toml", "+stage=audit", "--runner", "runner.toml")
    assert done.returncode == 1
    sentence = f"resnet.fc.weight in {path} has numbers that are not finite: it is damaged, or its training failed"
    (attempt,) = folders(tmp_path)["start"].attempts()
    assert read_json(attempt.record)["error"] == sentence
    assert sentence in done.stdout
    write(path, "separius")
    run(tmp_path, "+stage=audit", "--runner", "runner.toml")


@pytest.mark.parametrize("world", [2])
def test_several_processes(world: int, tmp_path: Path) -> None:
    """One reads, the others wait; they share the test images. The results are those of one process."""
    (tmp_path / "one").mkdir()
    (tmp_path / "several").mkdir()
    for name in ("one", "several"):
        project(tmp_path / name)
    (tmp_path / "several" / "runner.toml").write_text(f'kind = "local"\n\n[resources]\nprocesses = {world}\n', encoding="utf-8")
    run(tmp_path / "one", "+stage=audit")
    run(tmp_path / "several", "+stage=audit", "--runner", "runner.toml")
    one, several = folders(tmp_path / "one"), folders(tmp_path / "several")
    assert read_json(several["start"].result)["environment"]["world_size"] == world
    ours, theirs = (load_file(each["start"].weights) for each in (one, several))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert read_json(one["audit"].result)["metrics"] == read_json(several["audit"].result)["metrics"]
    assert read_json(one["audit"].result)["test_list"] == read_json(several["audit"].result)["test_list"]
    assert one["audit"].outcomes is not None
    assert several["audit"].outcomes is not None
    assert one["audit"].outcomes.read_bytes() == several["audit"].outcomes.read_bytes()
