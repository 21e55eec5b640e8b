"""The model card: all that was done to make a network, and nothing that a spec smuggles into it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from simclr_spec.core.files import read_json, write_json
from simclr_spec.language.coordinates import parse
from simclr_spec.plan import compile
from simclr_spec.report.card import card
from simclr_spec.report.notes import assumptions, chain, deviations
from simclr_spec.store.history import record_plan
from simclr_spec.store.layout import RunFolder, Store
from simclr_spec.train.model.about import About
from tests import tiny
from tests.finished import finish

EVIL = "# x\n![i](http://e.vil/x.png) <script>alert(1)</script> `a` | b [l](javascript:x) www.e.vil **b** &lt; \x1b[2J"


def finetuned(store: Store, spec: str) -> RunFolder:
    """Both Steps of it, done."""
    plan = compile([spec])
    for step in plan.steps:
        folder = finish(store, step, {"top1": 61.25, "top5": 99.0, "loss": 0.12345})
        parents = {fingerprint: plan.by_fingerprint[fingerprint].id for fingerprint in step.needs.values()}
        store.prepare(step.id, step.written(parents))
        write_json(
            folder.result, {**read_json(folder.result), "test_list": {"images": 6, "digest": "d"}, "data_digest": "5ee4"}
        )
    (step,) = (step for step in plan.steps if step.stage == "finetune")
    return store.folder(step.id)


def about(folder: RunFolder) -> About:
    return About.of_step(read_json(folder.step), classes=("ant", "bee", "cat"))


@pytest.fixture
def folder(store: Store, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.chdir(store.path.parent)
    tiny.project(store.path.parent)
    folder = finetuned(store, "mine.toml")
    record_plan(store, ["mine.toml"], None, [])
    return folder


def test_where_others_ran_last_the_command_is_that_of_this_step(folder: RunFolder) -> None:
    record_plan(folder.store, ["mine.toml"], None, [], parse(["stage=supervised"]))
    text = card(about(folder), folder, ["model.safetensors"], 3, 1)
    assert f"Command: `simclr-spec run {Path('mine.toml').resolve()} fingerprint={about(folder).fingerprint[:8]}`" in text


def test_it_tells_how_the_network_was_made(folder: RunFolder) -> None:
    text = card(about(folder), folder, ["model.safetensors"], 3, 1)
    plan = compile(["mine.toml"])
    steps = chain(plan, [step for step in plan.steps if folder.path.name.endswith(step.fingerprint[:8])])
    assert [step.stage for step in steps] == ["pretrain", "finetune"]
    plain = re.sub(r"\\(.)", r"\1", text)
    for note in (deviations(steps), assumptions(steps)):
        assert note.groups
        for _, items in note.groups:
            assert " · ".join(items) in plain
    for part in (
        "ResNet-18, 1× wide on 2 channels, stem `cifar`: the encoder, 1 layer of its projection head, a classifier of 3 ",
        f"Command: `simclr-spec run {Path('mine.toml').resolve()}`",
        "Spec: Tiny folder. Recipe: `simclrv2`.",
        f"`{about(folder).fingerprint}`",
        "| `tinyset`, 12 training images | `5ee4` | 6 |",
        "On 6 test images.",
        "| top1 | 61.2 % |",
        "| loss | 0.123 |",
        "Classes: `ant`, `bee`, `cat`",
        "Not stated.",
        "- torch `2.11.0`",
    ):
        assert part in plain, part


def test_without_its_plan_it_says_so(folder: RunFolder) -> None:
    Path("mine.toml").write_text(tiny.SPEC.replace("labels_per_class = 2", "labels_per_class = 1"))
    changed = card(about(folder), folder, ["model.safetensors"], 3, 1)
    assert "cannot be told, since the specs that were run have changed since, or are elsewhere" in changed
    Path("mine.toml").unlink()
    assert card(about(folder), folder, ["model.safetensors"], 3, 1) == changed
    folder.store.all_plans.unlink()
    assert "cannot be told, since no plan is recorded in its store" in card(about(folder), folder, ["model.safetensors"], 3, 1)


def test_nothing_that_a_spec_says_is_more_than_text(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(store.path.parent)
    tiny.project(store.path.parent)
    Path("mine.toml").write_text(tiny.SPEC.replace("Tiny folder", EVIL.splitlines()[1].partition("\x1b")[0]))
    folder = finetuned(store, "mine.toml")
    record_plan(store, ["mine.toml"], None, [])
    known = About.of_step(read_json(folder.step), classes=(EVIL, "``", "c"), licence=(EVIL,), origin=(EVIL,))
    text = card(known, folder, ["model.safetensors"], 3, 1)
    assert "\x1b" not in text
    outside = re.sub(r"(?s)```python.*?```", "", text)
    outside = re.sub(r"(`+) ?.*?[^`]\1(?!`)", "", outside)
    outside = re.sub(r"\\.", "", outside)
    assert "script" in outside
    for sign in ("<", "](", "![", "`", "://", "www.", "&", "javascript:"):
        assert sign not in outside, sign
    assert [line for line in outside.splitlines() if line.startswith("#")] == [
        "# ",
        *(
            f"## {part}"
            for part in ("How to load it", "What it sees", "How it was made", "How good it is", "Licence", "Versions")
        ),
    ]


def test_of_an_exported_file_it_says_what_the_file_says(folder: RunFolder) -> None:
    text = card(about(folder), None, ["model.safetensors", "model.pt"], 3, 1)
    assert "How it was made" not in text
    assert "`model.pt` maps the same to the same." in text


def test_a_parent_that_is_gone_is_told(folder: RunFolder) -> None:
    parent = folder.store.folder(read_json(folder.step)["needs"]["from"]["folder"])
    shutil.rmtree(parent.path)
    text = card(about(folder), folder, ["model.safetensors"], 3, 1)
    assert f"| `{parent.path.name}` | no longer in its store | no longer in its store | no longer in its store |" in text
