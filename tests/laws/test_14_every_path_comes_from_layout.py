"""Every path in a store comes from store/layout.py, that of job arrays from store/arrays.py: no other module says the name of
one of its files or folders.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import simclr_spec
from simclr_spec.store.arrays import ArrayFolder
from simclr_spec.store.layout import Attempt, RunFolder, Store

PACKAGE = Path(simclr_spec.__file__).parent
LAYOUT = [PACKAGE / "store" / "layout.py", PACKAGE / "store" / "arrays.py"]
RUN_FOLDER, ATTEMPT, STORE = RunFolder(Path("runs/k/l")), Attempt(Path("runs/k/l/attempts/1")), Store(Path("runs"))
ARRAY = ArrayFolder(Path("runs/.arrays/x"))
PATHS = [
    *(RUN_FOLDER.step, RUN_FOLDER.lease, RUN_FOLDER.result, RUN_FOLDER.queued, RUN_FOLDER.cancelled, RUN_FOLDER.committed),
    *(ATTEMPT.record, ATTEMPT.log, ATTEMPT.metrics, ATTEMPT.checkpoint, ATTEMPT.weights, ATTEMPT.outcomes, ATTEMPT.path.parent),
    *(STORE.all_plans, STORE.all_plans.parent, STORE.jobs, STORE.hashes_of(Path("x")).parent),
    *(STORE.arrays, ARRAY.intent, ARRAY.receipt, ARRAY.script, STORE.bad_node("x").parent),
]
NAMES = {path.name for path in PATHS}
ENDS = re.compile(r"^look-|\.hashes$|^\.probe-")
"""Of names that have a digest or a number in them."""
OF_PATHS = {"Path", "join", "joinpath", "with_name", "glob", "rglob"}
"""What makes a path of its arguments."""


def said(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name: every string with a component that no other thing is called like, and every path with "lease" in it.

    Such words as `log` and `cancelled` are also what a person reads: of them only those count that are part of a path, in
    the string or by what is done with it.
    """
    docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        match node:
            case ast.Constant(str(text)) if node not in docstrings:
                for word in re.split(r"[/\s*]+", text):
                    if (word in NAMES and ("." in word or "/" in text)) or ENDS.search(word):
                        yield node.lineno, word
            case ast.BinOp(_, ast.Div(), ast.Constant(str(text))) if text in NAMES:
                yield node.lineno, text
            case ast.Call(ast.Name(called) | ast.Attribute(attr=called), arguments) if called in OF_PATHS:
                for argument in arguments:
                    if isinstance(argument, ast.Constant) and argument.value in NAMES:
                        yield node.lineno, str(argument.value)


def test_no_module_but_the_layout_names_a_file_of_a_store() -> None:
    files = [file for file in PACKAGE.rglob("*.py") if file not in LAYOUT]
    assert len(files) > 100
    found = [f"{file}:{line}: {name}" for file in files for line, name in said(ast.parse(file.read_text(encoding="utf-8")))]
    assert found == []


def test_the_layout_names_all() -> None:
    names = {name for file in LAYOUT for _, name in said(ast.parse(file.read_text(encoding="utf-8")))}
    assert names >= NAMES


@pytest.mark.parametrize(
    "code",
    [
        'read_json(path / "step.json")',
        'f"{folder}/{name}/step.json"',
        'folder / "lease"',
        'store.glob("*/result.json")',
        'open(".plans/all.jsonl")',
        'folder.glob("attempts")',
        'store.rglob("lease")',
        'f"{folder}/lease"',
        'f"{folder}/attempts/{number}"',
        'open("runs/x/lease")',
        'Path(folder, "attempts")',
        'os.path.join(folder, "lease")',
        'folder.joinpath(kind, "log")',
        'data / f"{digest}.hashes"',
    ],
)
def test_a_path_that_is_said_elsewhere_is_found(code: str) -> None:
    assert list(said(ast.parse(code)))


@pytest.mark.parametrize(
    "code", ['"cancelled"', '", ".join([log, "lease"])', '"""The step.json of a Step."""', 'print("log")', 'result["weights"]']
)
def test_words_are_no_paths(code: str) -> None:
    assert not list(said(ast.parse(code)))
