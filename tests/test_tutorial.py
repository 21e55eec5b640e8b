"""The tutorial's table of one's own: its files are written, and its commands typed, in an empty folder."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.pages import Page
from tests.typed import run

SECTION = Page.read("tutorial.md").section("A table and a figure of your own")
FILES = SECTION.files
COMMANDS = [line for block in SECTION.blocks() for line in block.splitlines()]


def test_a_table_and_a_figure_of_ones_own_without_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIMCLR_SPEC_STORE", "runs")
    assert list(FILES) == ["mine.toml", "mine-report.toml"]
    for name, text in FILES.items():
        Path(name).write_text(text, encoding="utf-8")
    told = {}
    for command in COMMANDS:
        program, *words = shlex.split(command)
        assert program == "simclr-spec"
        done = run(*words)
        assert done.exit_code == 0, (command, done.output)
        told[" ".join(words)] = done.stdout
    assert "mine.toml: 8 Steps, no faults" in told["check mine.toml mine-report.toml"]
    assert re.search(r"finetune +1 ", told["plan --cell mine-report.toml/small/10 --scale digits"])
    table = told["report mine-report.toml"]
    assert len(re.findall(r"\d+\.\d \(1\)", table)) == 6
    assert "NOT the paper's setting" in table
    assert "<svg" in Path("mine.svg").read_text(encoding="utf-8")
    assert Path("curves.png").read_bytes().startswith(b"\x89PNG")
    assert "Fine-tuned with few labels" in Path("mine.html").read_text(encoding="utf-8")
    assert json.loads(run("report", "mine-report.toml", "--format", "json").stdout)["cells"]
