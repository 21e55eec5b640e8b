"""Every value that a person reads is printed by one printer (`core/words.py`)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import simclr_spec

PACKAGE = Path(simclr_spec.__file__).parent
WORDS = {"true", "false", "on", "off", "none", "null"}
FLOATS = {"e", "f", "g", "%"}
"""Ends of format specifications."""
OTHERWISE = {
    "core/words.py": "the printer",
    "core/errors.py": "words are compared in lower case, not shown",
    "plan/step.py": "a label is part of a path: it must not change with the printer",
}


def printed(tree: ast.AST) -> Iterator[int]:
    """Lines on which a bool, None or a float is made into text."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name(id="str")), attr="lower")):
                yield node.lineno
            case ast.IfExp(body=ast.Constant(one), orelse=ast.Constant(other)) if {one, other} <= WORDS:
                yield node.lineno
            case ast.Return(value=ast.Constant(word)) if word in WORDS - {"off"}:  # a report's verdict
                yield node.lineno
            case ast.FormattedValue(format_spec=ast.JoinedStr(values=[*_, ast.Constant(str(spec))])) if spec[-1:] in FLOATS:
                yield node.lineno


@pytest.mark.parametrize(
    "code",
    [
        "str(value).lower()",
        "'true' if value else 'false'",
        "def f(): return 'none'",
        "f'{value:g}'",
        "f'{value:.{digits}g}'",
        "f'{value:,.1f}'",
        "f'{value:4.0%}'",
    ],
)
def test_a_second_printer_would_be_noticed(code: str) -> None:
    assert list(printed(ast.parse(code))) == [1]


def test_nothing_else_prints_values() -> None:
    files = {str(path.relative_to(PACKAGE)): ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}
    assert OTHERWISE.keys() <= files.keys()
    found = [f"{name}:{line}" for name in files.keys() - OTHERWISE.keys() for line in printed(files[name])]
    assert sorted(found) == [], "let core/words.py print these: number, plain, written, typed, fixed, footnote"
