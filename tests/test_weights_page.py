"""docs/weights.md, others' networks: its files are written and its blocks typed in an empty folder; this computer serves files.

What is too large here (13 encoders, a million images) is planned instead."""

from __future__ import annotations

import functools
import re
import shlex
import shutil
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
import torchvision

from simclr_spec.data import weights
from simclr_spec.language.weights import read_weights
from simclr_spec.stages.common import HeadConfig
from tests.data.bundle.writing import write_bundle
from tests.folders import picture
from tests.pages import Page, shell, typed
from tests.tensorflow.names import official_tensors
from tests.train.weights.foreign import narrow, variables
from tests.typed import run

PAGE = Page(Page.read("weights.md").text.partition("\n## Use what you trained")[0])
LINES = [line for block in PAGE.blocks() for line in block.splitlines()]
COMMANDS = [line for line in LINES if line.startswith("simclr-spec ")]
COMMANDS += re.findall(r"`(simclr-spec [^`]*)`", PAGE.text.replace("simclr-spec export", ""))
FINISHED = ("predict", "embed", "export")
"""Verbs that want something done, and are tried where it is."""
LEAVES = 'name = "leaves"\nclasses = 3\ntrain_images = 36\ntest_images = 12\nimage_size = 32\n'
IMAGENET = 'name = "imagenet"\nclasses = 1000\ntrain_images = 1000\ntest_images = 1000\nimage_size = 32\n'
SMALL = "--set dataset=imagenet.toml --set test_images=50"
HEAD = HeadConfig(layers=3, width=1, out_dim=128, last_beta=False)
VARIABLES = variables(narrow(50, base_width=64), HEAD, 1000)
STAGES = ("pretrained", "finetuned_100pct")
FETCH, TEST, USE = PAGE.section("Test the released networks").blocks()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """With the files of the page, and that of the page about images; not kept, being large."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SIMCLR_SPEC_DATA", raising=False)
    monkeypatch.setenv("SIMCLR_SPEC_STORE", "runs")
    for name, text in {**PAGE.files, "leaves.toml": LEAVES, "imagenet.toml": IMAGENET}.items():
        Path(name).write_text(text, encoding="utf-8")
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("command", dict.fromkeys(command for command in COMMANDS if command.split()[1] not in FINISHED))
def test_every_command_is_one(command: str, folder: Path) -> None:
    _, verb, *words = shlex.split(command)
    words += ["--help"] * (verb == "fetch-lists")
    done = run("plan" if verb == "run" else verb, *words)
    assert done.exit_code == 0, done.output


def test_the_files_that_are_fetched_are_those_of_one_encoder() -> None:
    declared = read_weights("simclrv2")
    assert f"base={declared.document.data['origin']}" in LINES
    loop = " ".join(LINES).replace("\\", "").partition("for name in ")[2].partition(";")[0]
    ours = [network.file for each in declared.sets.values() for network in each.networks if "/r50_1x_sk0/" in network.file]
    assert loop.split() == ours
    assert len(ours) == 5


def test_where_nothing_was_fetched_no_scale_is_said_to_help(folder: Path) -> None:
    *lines, last = run("run", "released", "depth=50", "width=1", "sk=false").output.splitlines()
    assert [line.partition("'")[2].partition("'")[0].partition("/")[0] for line in lines] == [*read_weights("simclrv2").sets][
        :5
    ]
    assert last.startswith("data set 'imagenet' (folder")
    assert not any("--scale" in line for line in (*lines, last))


@pytest.fixture
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the files of ResNet-50 are served: variables of the real names and sizes, without slots and moving averages.

    Those that the test has no run read are another's bytes."""
    place = tmp_path_factory.mktemp("published")
    for seed, each in enumerate(read_weights("simclrv2").sets.values()):
        network = each.networks[0]
        prefix = place / network.file
        if each.name in STAGES:
            held = official_tensors(VARIABLES, seed, slots=False)
            prefix.parent.mkdir(parents=True)
            first = write_bundle(prefix, {**held, "global_step": np.array(network.settings["weights.train_step"].value)})
        elif "/r50_1x_sk0/" in network.file:
            prefix.parent.mkdir(parents=True)
            for part in first:
                Path(f"{prefix}{part.suffix}").hardlink_to(part)
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=str(place))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
    shutil.rmtree(place)


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nobody listens."""


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page fetches with curl")
def test_released_networks_are_fetched_tested_and_used(folder: Path, published: str) -> None:
    """The address is this computer's, the images a small one of each class, of which 50 are seen, the stages two of five."""
    for number in range(1000):
        for split, shade in (("train", 1), ("val", 2)):
            picture(folder / f"images/{split}/n{number:04}/0.png", (number % 256, number // 256, shade))
    picture(folder / "photos/one.png")
    test = TEST.replace("DIR", "images").replace("sk=false", f"sk=false stage={STAGES[0]}_test,{STAGES[1]}_test {SMALL}", 1)
    before = shell(test, folder)
    missing = [line for line in before.stderr.splitlines() if "are not there (looked in" in line]
    assert (before.returncode, len(missing)) == (1, 2), before.stderr

    told = typed(re.sub("base=.*", f"base={published}", FETCH), folder)
    assert "5 of 67 files at hand" in told
    table = typed(test, folder)
    assert re.search(r"\n50 1× +24 +– +– +\d+\.\d \(1\) +\d+\.\d \(1\) +–\n", table), table
    assert "licence Apache-2.0, SHA-256 of 2 as read, of 3 not read yet" in " ".join(table.split())

    typed(USE, folder)
    (heading, row) = (folder / "predictions.csv").read_text().splitlines()
    assert re.match(r"one\.png,n\d{4},", row), heading
    with np.load(folder / "features.npz") as arrays:
        assert arrays["features"].shape == (1, 2048)
    assert {path.name for path in (folder / "resnet50").iterdir()} == {"README.md", "model.safetensors"}


def test_a_resnet_that_one_has_is_started_from(folder: Path) -> None:
    """An epoch is enough."""
    (folder / "transfer.toml").write_text(PAGE.files["transfer.toml"].replace("epochs = 20", "epochs = 1"))
    for number in range(3 * 12):
        picture(folder / f"data/leaves/train/{number % 3}/{number}.png", (7 * number, 0, 0))
    for number in range(3 * 4):
        picture(folder / f"data/leaves/val/{number % 3}/{number}.png", (7 * number, 9, 9))
    (folder / "weights").mkdir()
    torch.save(torchvision.models.resnet50(weights=None).state_dict(), folder / "weights/resnet50.pth")
    (block,) = PAGE.section("Start from a ResNet that you have").blocks()
    told = typed(block, folder)
    for title in ("linear", "fine-tuned", "student"):
        assert re.search(rf"\n{title} +\d+\.\d \(1\)\n", told), told
    digest = typed("sha256sum weights/resnet50.pth", folder)
    assert (
        f"resnet50.pth, from https://download.pytorch.org/models, licence BSD-3-Clause, SHA-256 {digest[:8]} as read"
        in " ".join(told.split())
    )


def test_the_digest_of_several_files_is_that_of_their_bytes_in_this_order(tmp_path: Path) -> None:
    """As the shell says it on the page."""
    command = next(line for line in LINES if line.startswith("cat "))
    index, rest = shlex.split(command)[1:3]
    assert rest == index.replace(".index", ".data-*")
    files = [tmp_path / index, tmp_path / rest.replace("*", "00000-of-00001")]
    files[0].parent.mkdir(parents=True)
    for place, file in enumerate(files):
        file.write_bytes(bytes([place] * 100_000))
    assert typed(command, tmp_path).split()[0] == weights.sha256(files)
