"""What a stranger meets first: the two commands, the checks, and commands that load only what they need."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import simclr_spec

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "torchvision", "pandas", "submitit", "matplotlib", "sklearn", "numpy", "rich")
VALIDATES = {"plan", "explain", "check"}
"""Commands that hold a file against its schema, for which jsonschema is there."""

_ASK = """
import sys
from simclr_spec.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as done:
    code = done.code
print("LOADED", code or 0, *sorted(set(sys.modules) & {heavy}))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["plan", "quickstart"],
        ["plan", "quickstart", "--format", "json"],
        ["plan", "table1"],
        ["explain", "quickstart"],
        ["check"],
        ["list"],
        ["schema", "report"],
        ["report", "--help"],
    ],
    ids=" ".join,
)
def test_looking_loads_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    script = _ASK.replace("{heavy}", repr({*HEAVY, *(() if arguments[0] in VALIDATES else ("jsonschema",))}))
    done = subprocess.run([sys.executable, "-c", script, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED 0"


def test_the_data_folders_hold_data_only() -> None:
    for name in ("specs", "runners", "reports"):
        assert {path.suffix for path in (ROOT / name).rglob("*") if path.is_file()} <= {".toml", ".json"}


def test_no_folder_named_reports_is_ignored() -> None:
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if not line.startswith("#") and "reports" in line]


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["hatch"]["version"]["path"] == "simclr_spec/__init__.py"
    done = subprocess.run(
        [sys.executable, "-m", "simclr_spec", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"simclr-spec {simclr_spec.__version__}\n"


def test_each_ignored_lint_rule_has_a_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    ignored = text.partition("\nignore = [\n")[2].partition("\n]")[0].splitlines()
    assert ignored
    assert all(" # " in line for line in ignored)


@pytest.mark.parametrize("target", ["quickstart", "test", "test-slurm", "soak", "lint"])
def test_make_sets_itself_up(target: str) -> None:
    """What make would do in a fresh clone, in order: environment, installation, the commands."""
    done = subprocess.run(["make", "--dry-run", "VENV=never", target], cwd=ROOT, capture_output=True, text=True, check=True)
    steps = [
        "python3 -m venv never",
        "pip --quiet",
        *{
            "quickstart": ["simclr-spec run quickstart"],
            "test": ["pytest -q -n 2 --ignore=tests/slurm"],
            "test-slurm": ["tests/slurm/install.sh", "pytest -q tests/slurm"],
            "soak": ["tests/slurm/install.sh", "pytest -q -m soak"],
            "lint": ["mypy"],
        }[target],
    ]
    places = [done.stdout.index(step) for step in steps]
    assert places == sorted(places)


def test_make_says_what_to_install_where_environments_cannot_be_made(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\n', encoding="utf-8")
    python.chmod(0o755)
    done = subprocess.run(
        ["make", f"VENV={tmp_path}/venv", f"PYTHON={python}", "quickstart"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "apt-get install python3-venv" in done.stderr


def test_ci_runs_lint_and_all_tests_and_leaves_no_environment() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    text = script.read_text(encoding="utf-8")
    assert all(part in text for part in ("set -euo pipefail", "make lint\n", "make test\n", "make test-slurm\n", "rm -rf"))


def test_what_is_installed_is_compiled_even_where_python_writes_no_bytecode(tmp_path: Path) -> None:
    """With the checkout's own make; only pip is left out."""
    for name in ("Makefile", "pyproject.toml", "simclr_spec"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    for cache in [*tmp_path.rglob("__pycache__")]:
        shutil.rmtree(cache)
    package, python = tmp_path / "env" / "lib" / "python3" / "site-packages" / "installed", tmp_path / "env" / "bin" / "python"
    for path, text in {
        package / "__init__.py": "ANSWER = 42\n",
        package / "newer.py": "def f[T](x: T): a syntax that no Python has\n",
        python: f'#!/bin/sh\n[ "$2" = pip ] || exec {sys.executable} "$@"\n',
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    python.chmod(0o755)
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    make = ["make", "VENV=env", "env/.installed"]
    done = subprocess.run(make, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert "rror" not in done.stdout + done.stderr
    assert list((package / "__pycache__").glob("__init__.*.pyc"))
    for source in (tmp_path / "simclr_spec").rglob("*.py"):
        assert list((source.parent / "__pycache__").glob(f"{source.stem}.*.pyc")), source
