"""Weights files: what they say of each network, what they leave out, and each fault with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from simclr_spec.core.errors import SpecError
from simclr_spec.language import declared
from simclr_spec.language.weights import Network, chosen, read_weights
from simclr_spec.stages.kinds import KINDS

MINE = """title = "Mine"
layout = "separius"
networks = [{ depth = 50 }, { depth = 101, width = 2, sk = true }]
[encoder]
stem = "standardised"
[sets.pretrained]
made_by = "pretrain"
file = "r{depth}_{width}x_sk{sk}.pth"
head_layers = 3
"""


def _write(folder: Path, text: str) -> str:
    (folder / "mine.toml").write_text(text, encoding="utf-8")
    return str(folder / "mine.toml")


def _said(network: Network) -> dict[str, object]:
    return {name.removeprefix("weights."): setting.value for name, setting in network.settings.items()}


def test_what_a_file_says_of_a_network_and_what_it_leaves_out(tmp_path: Path) -> None:
    only = read_weights(_write(tmp_path, MINE)).sets["pretrained"]
    assert [network.file for network in only.networks] == ["r50_1x_sk0.pth", "r101_2x_sk1.pth"]
    assert [network.encoder for network in only.networks] == [
        {"depth": 50, "width": 1, "sk": False},
        {"depth": 101, "width": 2, "sk": True},
    ]
    assert _said(only.networks[0]) == {
        "file": "r50_1x_sk0.pth",
        "sha256": "",
        "train_step": None,
        "layout": "separius",
        "network": "online",
        "head_layers": 3,
        "classes": None,
        "from_layer": 0,
        "origin": "not stated",
        "licence": "not stated",
        "encoder.stem": "standardised",
    }
    assert only.label_fraction is None, "it has no classifier"


def test_unknown_bytes_are_an_assumption_and_declared_ones_are_none(tmp_path: Path) -> None:
    text = MINE.replace("[{ depth = 50 }", f'[{{ depth = 50, file = "own.pth", sha256 = "{"0f" * 32}" }}')
    known, unknown = read_weights(_write(tmp_path, text)).sets["pretrained"].networks
    assert (known.file, known.settings["weights.sha256"].value) == ("own.pth", "0f" * 32)
    assert not known.settings["weights.sha256"].is_assumption
    assert unknown.settings["weights.sha256"].is_assumption
    assert known.settings["weights.sha256"].origin.endswith("mine.toml:3")


def test_a_set_may_have_other_networks_and_another_layout(tmp_path: Path) -> None:
    text = MINE + '[sets.tuned]\nmade_by = "finetune"\nlayout = "simclr-spec"\nfile = "t.safetensors"\n'
    text += "classes = 10\nnetworks = [{ depth = 18 }]\n"
    tuned = read_weights(_write(tmp_path, text)).sets["tuned"]
    (network,) = tuned.networks
    assert (network.encoder["depth"], network.settings["weights.layout"].value) == (18, "simclr-spec")
    assert (tuned.label_fraction, tuned.made_by) == (1.0, "finetune")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            'networks = [{ depth = 50 }, { depth = 101, width = 2, sk = true }]\n',
            "",
            "5:7: pretrained has no `networks`, nor has the file; list their encoders",
        ),
        (
            "r{depth}_{width}x_sk{sk}.pth",
            "r.pth",
            "8:8: two networks would be the same file, 'r.pth'; name them by {depth}, {width} and {sk}",
        ),
        (
            '"r{depth}',
            '"/data/r{depth}',
            "8:8: '/data/r50_1x_sk0.pth' is no name below a weights root: name the root with --weights-root, and the rest here",
        ),
        (
            '"r{depth}',
            '"../r{depth}',
            "8:8: '../r50_1x_sk0.pth' is no name below a weights root: name the root with --weights-root, and the rest here",
        ),
        (
            '"r{depth}',
            f'"a/{"é" * 128}{{depth}}',
            f"8:8: 'a/{'é' * 53}...' is no name that a file can have: each part of it has at most 255 bytes",
        ),
        (
            "head_layers = 3",
            "head_layers = 3\nclasses = 10\nfrom_layer = 4",
            "11:14: from_layer 4, but the files hold 3 layers of the head (head_layers)",
        ),
        ("head_layers = 3", "remeasured = [1.0]", "9:14: 1 numbers, but the set has 2 networks"),
        (
            "head_layers = 3",
            "remeasured = [1.0, 2.0]",
            "9:14: numbers without an owner: the file's `remeasured_by` says whose they are",
        ),
        ('"separius"', '"seprius"', "2:10: layout must be 'tensorflow', 'separius', 'torchvision' or 'simclr-spec' or"),
        ('"pretrain"', '"pretain"', "7:11: made_by must be 'pretrain', 'finetune', 'linear_eval', 'supervised' or 'distill'"),
        ("{ depth = 50 }", "{ depth = 51 }", "3:23: depth must be 18, 34, 50, 101, 152 or 200, not 51"),
        ("{ depth = 50 }", '{ depth = 50, sha256 = "0F" }', "3:36: sha256 must match ^([0-9a-f]{64})?$, not '0F'"),
        ("head_layers", "head_layer", "9:1: unknown key 'head_layer' in [sets.pretrained]; did you mean 'head_layers'?"),
        ("stem =", "depth = 18\nstem =", "5:1: unknown key 'depth' in [encoder]"),
        ('title = "Mine"\n', "", "1:1: the file lacks the key 'title'"),
    ],
)  # fmt: skip
def test_each_fault_has_its_place(old: str, new: str, fault: str, tmp_path: Path) -> None:
    assert old in MINE
    name = _write(tmp_path, MINE.replace(old, new))
    with pytest.raises(SpecError) as caught:
        read_weights(name)
    (told,) = [line.removeprefix(f"{name}:") for line in str(caught.value).splitlines()]
    assert told.startswith(fault)


def test_one_of_several_sets_must_be_named() -> None:
    weights = read_weights("torchvision")
    assert chosen(weights, None) == "torchvision has several sets; name one of v1, v2"
    assert chosen(weights, "v3") == "torchvision has no set 'v3'; there are v1, v2"
    assert chosen(weights, "v2") is weights.sets["v2"]
    only = read_weights("lightly")
    assert chosen(only, None) is only.sets["pretrained"]


@pytest.mark.parametrize("name", declared.names("weights"))
def test_every_declared_file_says_whose_its_networks_are(name: str) -> None:
    for each in read_weights(name).sets.values():
        assert each.networks
        assert not KINDS[each.made_by].from_file
        for network in each.networks:
            assert network.settings["weights.origin"].value.startswith("https://")
            assert network.settings["weights.licence"].value in ("Apache-2.0", "BSD-3-Clause")
            assert network.settings["weights.licence"].source, "a licence is somebody's word"
