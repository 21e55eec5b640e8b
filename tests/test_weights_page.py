"""docs/weights.md: its files are written, its commands typed, in an empty folder; what is run there is planned here."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from simclr_spec.language.weights import read_weights
from tests.typed import run

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "weights.md").read_text(encoding="utf-8").partition("\n## Use what you trained")[0]
FENCES = re.findall(r"^```([^\n]*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
FILES = {kind.removeprefix("toml "): text for kind, text in FENCES if kind}
LINES = [line for kind, text in FENCES if not kind for line in text.splitlines()]
COMMANDS = [line for line in LINES if line.startswith("simclr-spec ")]
COMMANDS += re.findall(r"`(simclr-spec [^`]*)`", PAGE.replace("simclr-spec export", ""))
IMAGES = 'name = "leaves"\nclasses = 3\ntrain_images = 36\ntest_images = 12\nimage_size = 32\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIMCLR_SPEC_STORE", "runs")
    for name, text in {**FILES, "leaves.toml": IMAGES}.items():
        Path(name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("command", dict.fromkeys(COMMANDS))
def test_every_command_is_one(command: str) -> None:
    _, verb, *words = shlex.split(command)
    done = run("plan" if verb == "run" else verb, *words)
    assert done.exit_code == 0, done.output


def test_the_files_that_are_fetched_are_those_of_one_encoder() -> None:
    weights = read_weights("simclrv2")
    assert f"base={weights.document.data['origin']}" in LINES
    loop = " ".join(LINES).replace("\\", "").partition("for name in ")[2].partition(";")[0]
    ours = [network.file for each in weights.sets.values() for network in each.networks if "/r50_1x_sk0/" in network.file]
    assert loop.split() == ours
    assert len(ours) == 5


def test_the_digest_of_several_files_is_that_of_their_bytes_in_this_order(tmp_path: Path) -> None:
    """As the shell says it on the page."""
    import subprocess

    from simclr_spec.data import weights

    command = next(line for line in LINES if line.startswith("cat "))
    index, rest = shlex.split(command)[1:3]
    assert rest == index.replace(".index", ".data-*")
    files = [tmp_path / index, tmp_path / rest.replace("*", "00000-of-00001")]
    files[0].parent.mkdir(parents=True)
    for place, file in enumerate(files):
        file.write_bytes(bytes([place] * 100_000))
    said = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout
    assert said.split()[0] == weights.sha256(files)
