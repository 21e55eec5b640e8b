"""The laws of docs/architecture.md and the tests of this folder are the same, by number."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
LAWS = {
    int(number): " ".join(text.split())
    for number, text in re.findall(r"^(\d+)\. (.*?)(?=^\d+\. |^$|\Z)", PAGE.partition("## Laws")[2], re.MULTILINE | re.DOTALL)
}
TESTS = {path: int(path.name.split("_")[1]) for path in sorted(HERE.glob("test_[0-9][0-9]_*.py"))}


def test_laws_are_numbered() -> None:
    assert list(LAWS) == list(range(1, len(LAWS) + 1))
    assert set(TESTS.values()) >= set(LAWS), "each has a file of its own"


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_each_file_begins_with_its_law(path: Path) -> None:
    first = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0].split())
    assert first
    assert first.replace("`", "").rstrip(".") in LAWS[TESTS[path]].replace("`", ""), first
