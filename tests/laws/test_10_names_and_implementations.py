"""Names in the language and implementations in `train/` are the same set."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import click

import simclr_spec
from simclr_spec import train
from simclr_spec.cli import planning
from simclr_spec.core.fields import schema
from simclr_spec.data import loaders
from simclr_spec.data.registry import LOADERS
from simclr_spec.language import declared, runner, schemas
from simclr_spec.stages.kinds import KINDS
from simclr_spec.train.loop import fit
from simclr_spec.train.loop.job import imported
from simclr_spec.train.losses.contrastive import LOSSES
from simclr_spec.train.stage import Stage
from simclr_spec.train.views import colour
from simclr_spec.train.weights.read import LAYOUTS
from tests.faults import TABLES

OPTIONS = {name: {*leaf["enum"]} for table in TABLES for name, leaf in schema(table)["properties"].items() if "enum" in leaf}
ALL_ASKED = {"bn_statistics", "crop"}


def test_kinds() -> None:
    """Those that train have a network with its measures, others an executor of their own."""
    for name, kind in KINDS.items():
        executor = imported(kind.executor)
        assert callable(executor)
        assert (executor is fit.train) == kind.trains
        if kind.trains:
            assert issubclass(fit.stage_class(name), Stage)


def test_tables_of_the_training() -> None:
    assert OPTIONS["colour"] == colour.OPERATIONS.keys()
    assert OPTIONS["loss"] == LOSSES.keys()
    assert OPTIONS["layout"] == LAYOUTS.keys()


def test_files_and_runners() -> None:
    assert {*get_args(declared.FileKind)} == declared.FOLDERS.keys() == schemas.SCHEMAS.keys()
    (offered,) = (parameter.type for parameter in planning.schema.params)
    assert isinstance(offered, click.Choice)
    assert {*offered.choices} == declared.FOLDERS.keys(), "without loading them"
    assert {name: get_args(get_type_hints(cls)["kind"]) for name, cls in runner.RUNNERS.items()} == {
        k: (k,) for k in runner.RUNNERS
    }


def test_every_option_but_one_is_asked_for() -> None:
    """`config.crop == "tensorflow"`: what is asked for can be written, and one option is what remains (in ALL_ASKED none)."""
    asked: dict[str, set[str]] = {}
    for file in Path(train.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Compare(ast.Attribute(attr=name), _, [ast.Constant(str(word))]) if name in OPTIONS:
                    asked.setdefault(name, set()).add(word)
    assert asked.keys() >= {"crop", "network", "optimizer", "sampler", "stem", "bn_variance", "in_batch", "precision"}
    assert {name: words - OPTIONS[name] for name, words in asked.items() if words - OPTIONS[name]} == {}
    assert {
        name: OPTIONS[name] - words for name, words in asked.items() if len(OPTIONS[name] - words) != (name not in ALL_ASKED)
    } == {}


def test_no_loader_is_named_outside_its_own_file() -> None:
    """A loader is one file: nothing else asks which one it has."""
    package = Path(simclr_spec.__file__).parent
    named = [
        f"{file.relative_to(package)}:{node.lineno}: {node.value!r}"
        for file in package.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in LOADERS and file.parent != package / "data" / "loaders"
    ]
    assert named == []


def test_a_loader_is_one_file(tmp_path: Path) -> None:
    """A file more in loaders/ is a loader more, which data-set files may name."""
    folder = Path(loaders.__file__).parent
    text = (folder / "digits.py").read_text(encoding="utf-8")
    (tmp_path / "more.py").write_text(text.replace('name = "digits"', 'name = "more"'), encoding="utf-8")
    code = (
        f"from simclr_spec.data import loaders; loaders.__path__.append({str(tmp_path)!r})\n"
        "from simclr_spec.stages.common import DatasetConfig\n"
        "from typing import get_args, get_type_hints\n"
        "print(get_args(get_type_hints(DatasetConfig)['loader']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "('digits', 'more', 'cifar10', 'image_folder')\n"
