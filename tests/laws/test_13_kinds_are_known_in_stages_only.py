"""A kind of stage is known in stages/ and train/stages/ only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import simclr_spec
from simclr_spec.stages.kinds import KINDS

PACKAGE = Path(simclr_spec.__file__).parent
ROOMS = (PACKAGE / "stages", PACKAGE / "train" / "stages")
FILES = [file for file in sorted(PACKAGE.rglob("*.py")) if not any(file.is_relative_to(room) for room in ROOMS)]


def named(text: str) -> Iterator[tuple[int, str]]:
    """Line and name of every kind that stands in the code as a string, docstrings excepted."""
    tree = ast.parse(text)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in KINDS and id(node) not in docstrings:
            yield node.lineno, str(node.value)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_kind_is_named(file: Path) -> None:
    assert [*named(file.read_text(encoding="utf-8"))] == []


def test_no_kind_is_imported_but_by_its_registry() -> None:
    """Whoever needs a kind's parameters has them from a Step."""
    own = {kind.parameters.__name__ for kind in KINDS.values()} | {name.upper() for name in KINDS}
    found = {
        (str(file.relative_to(PACKAGE)), alias.name)
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name in own
    }
    assert found == set()


def test_the_search_finds_what_it_looks_for() -> None:
    assert [*named('"""pretrain"""\nx = kind == "finetune" or {"distill": 1}\n')] == [(2, "finetune"), (2, "distill")]
    assert any(named((PACKAGE / "stages" / "distill.py").read_text(encoding="utf-8")))
