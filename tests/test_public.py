"""What others may import: README and docs use nothing else, and to have it costs nothing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import simclr_spec
from simclr_spec.core import errors
from simclr_spec.plan import compile
from simclr_spec.store.layout import Store
from tests.finished import finish

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[str]:
    """The Python that a page shows."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_public_names_are_these() -> None:
    named = {
        name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.SimclrSpecError)
    }
    assert set(simclr_spec.__all__) == {"__version__", "compile", "Plan", "Step", "Store", "load", "results", *named}
    assert {name for name in simclr_spec.__all__ if hasattr(simclr_spec, name)} == set(simclr_spec.__all__)
    assert simclr_spec.compile is compile


def test_to_import_the_package_loads_nothing_of_weight() -> None:
    code = "import sys, simclr_spec; print(*sorted(name for name in sys.modules if name.startswith('simclr_spec')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["simclr_spec"]
    code = "import sys, simclr_spec; simclr_spec.compile; print(*{'torch', 'pandas', 'submitit'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_import_the_public_names_only(page: Path) -> None:
    for block in blocks(page):
        for node in ast.walk(ast.parse(block)):
            match node:
                case ast.Import(names=names):
                    assert not [name.name for name in names if name.name.startswith("simclr_spec.")], block
                case ast.ImportFrom(module=str(module)):
                    assert not module.startswith("simclr_spec."), block
                case ast.Attribute(value=ast.Name(id="simclr_spec"), attr=name):
                    assert name in simclr_spec.__all__, block


def test_what_readme_shows_runs(tmp_path: Path) -> None:
    for step in compile(["quickstart"]).steps:
        finish(Store(tmp_path / "runs"), step, {"top1": 50.0 + step.coordinates["seed"]})
    assert blocks(ROOT / "README.md")
    for block in blocks(ROOT / "README.md"):
        done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert "pretrain/r18-1x-digits-s0-" in done.stdout, "a Step"
        assert "52.5" in done.stdout, "the mean over seeds 0 to 5"


def test_one_spec_may_be_named_without_a_list() -> None:
    plan = compile("quickstart", sets="pretrain.epochs=2")
    assert plan.digest == compile(["quickstart"], sets=["pretrain.epochs=2"]).digest
    assert plan.arguments == "quickstart --set pretrain.epochs=2"


def test_a_plan_is_shown_in_a_line() -> None:
    plan = compile("quickstart")
    assert repr(plan) == "<Plan of quickstart: 168 Steps>"
    assert repr(plan.steps[0]) == f"<Step {plan.steps[0].id}>"
