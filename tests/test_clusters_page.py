"""docs/clusters.md: its profiles are read, what it quotes is said, and what it counts is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import simclr_spec
from simclr_spec.dispatch.slurm.rehearsal import rehearse
from simclr_spec.language import runner
from simclr_spec.plan import compile
from simclr_spec.store.layout import Store
from tests.typed import run

PAGE = (Path(__file__).parents[1] / "docs/clusters.md").read_text(encoding="utf-8")
PROFILES = [re.sub("(?m)^   ", "", text) for text in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)]
SAID = re.findall(r"(?m)^\| `(.+?)` \|", PAGE.partition("## What it says")[2])
SOURCES = "".join(file.read_text(encoding="utf-8") for file in Path(simclr_spec.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("text", PROFILES)
def test_each_profile_is_one(text: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    assert isinstance(runner.read(str(tmp_path / "mine.toml")), runner.Slurm)


def test_what_it_quotes_is_said() -> None:
    assert len(SAID) > 10
    assert [sentence for sentence in SAID if sentence not in SOURCES] == []


def test_the_commands_are_there() -> None:
    verbs = re.findall(r"(?m)^\| `(\w+)`", PAGE.partition("## Each verb")[2].partition("##")[0])
    assert len(verbs) == 8
    for verb in verbs:
        assert run(verb, "--help").exit_code == 0
    assert "--runner" in run("doctor", "--help").output
    assert "--watch" in run("status", "--help").output


def test_table_1_is_so_many_submissions(tmp_path: Path) -> None:
    assert "six\nsubmissions where each stage asks for one thing, fifteen with `runners/slurm.toml`" in PAGE
    steps, store = compile(["table1"]).steps, Store(tmp_path)
    assert (len(steps), rehearse(steps, store, runner.Slurm())[0]) == (78, "6 arrays of jobs:")
    declared = runner.read("slurm")
    assert isinstance(declared, runner.Slurm)
    assert rehearse(steps, store, declared)[0] == "15 arrays of jobs:"


def test_what_stands_for_retries_unless_written() -> None:
    told = dict(re.findall(r"\| `(\w+)` \| (\d+) \|", PAGE))
    assert {key: str(value) for key, value in vars(runner.Slurm().retries).items()} == told
