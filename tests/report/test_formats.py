"""The formats of reports are said once: their files, the command line and the suffixes agree."""

from __future__ import annotations

import pkgutil
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from simclr_spec.cli.main import main
from simclr_spec.plan import compile
from simclr_spec.report import formats
from simclr_spec.report.formats.registry import SUFFIXES, WRITTEN, render
from simclr_spec.report.output import format_of
from simclr_spec.report.table import make
from simclr_spec.store.layout import Store
from tests.finished import finish, finish_all


def test_every_file_is_a_format_and_the_command_line_offers_each() -> None:
    files = {module.name for module in pkgutil.iter_modules(formats.__path__)} - {"registry"}
    option = next(one for one in main.commands["report"].params if one.name == "form")
    assert isinstance(option.type, click.Choice)
    assert files == SUFFIXES.keys() == set(option.type.choices)


@pytest.mark.parametrize(("name", "suffix"), WRITTEN.items())
def test_a_format_is_found_by_its_suffix_and_writes_every_row(name: str, suffix: str, store: Store) -> None:
    finish(store, next(step for step in compile(["quickstart"]).steps if step.stage == "linear"), {"top1": 50.0})
    assert format_of(None, f"mine{suffix}") == name
    assert "linear, small" in render(name, make("quickstart", store))


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex on the PATH")
@pytest.mark.parametrize("scale", ["paper", "digits"])
def test_latex_compiles(scale: str, store: Store, tmp_path: Path) -> None:
    finish_all(store, compile(["table1"], scale=scale), 50)
    before = "\\documentclass{article}\\usepackage[utf8]{inputenc}\\usepackage{booktabs,graphicx}\\begin{document}\n"
    text = before + render("latex", make("table1", store, scale)) + "\\end{document}\n"
    (tmp_path / "table.tex").write_text(text, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
    assert (tmp_path / "table.pdf").stat().st_size > 0
