"""Each number of the paper stands once in `reports/`, each hyper-parameter once in `specs/recipes/`.

Each constant of a data set stands once in `specs/datasets/`. The second, independent transcriptions:
tests/test_papers_numbers.py and tests/language/test_recipe.py; that specs set no hyper-parameter: tests/test_declared.py.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from simclr_spec.language import declared
from simclr_spec.language.document import parse
from simclr_spec.language.report import load
from simclr_spec.plan import compile
from simclr_spec.report.cells import Cell
from simclr_spec.report.select import select


def test_at_the_papers_scale_every_hyper_parameter_is_the_recipes() -> None:
    """Of its tables and figures; what a study of ours varies is in tests/test_declared.py."""
    for step in compile([f"table{n}" for n in (1, 2, 3)] + [f"figure{n}" for n in (4, 5, 6)], scale="paper").steps:
        layers = {setting.layer for setting in step.origins.values()}
        assert layers <= {"recipe", "dataset", "axis", "fixed"}, step.id


def test_constants_of_a_data_set_stand_in_its_file_alone() -> None:
    """A scale may make the images smaller, which is a change and no constant."""
    kinds: tuple[declared.FileKind, ...] = ("recipe", "scale", "spec")
    files = {(kind, name): _constants(parse(declared.read(kind, name)).data) for kind in kinds for name in declared.names(kind)}
    found = {(kind, name, key) for (kind, name), keys in files.items() for key in keys}
    assert {one for one in found if (one[0], one[2]) != ("scale", "image_size")} == set()
    assert [*_constants({"pretrain": {"rules": [{"set": {"dataset": {"classes": 10}}}]}})] == ["classes"]


def _constants(value: Any) -> Iterator[str]:
    """Keys of tables named `dataset`, at any depth; as a text it is a name."""
    if isinstance(value, dict):
        if isinstance(value.get("dataset"), dict):
            yield from value["dataset"]
        value = list(value.values())
    for inner in value if isinstance(value, list) else ():
        yield from _constants(inner)


def test_each_number_of_the_paper_stands_in_one_report() -> None:
    """The same Steps and metric with a number in two files would be one number twice."""
    written = (cell for cell in _cells() if cell.paper is not None)
    said = Counter((frozenset(step.fingerprint for step in cell.steps), cell.metric) for cell in written)
    assert len(said) > 13 * 7
    assert [cell for cell, count in said.items() if count > 1] == []


def _cells() -> Iterator[Cell]:
    """Of all reports, each with what its own file says of it."""
    for name in declared.names("report"):
        report, source = load(name)
        if any(row.paper for row in report.rows):
            yield from (cell for row in select(report, source, compile(report.spec)) for cell in row if cell)


def test_numbers_of_the_literature_stand_in_one_report_and_others_take_them_from_there() -> None:
    files = {name: parse(declared.read("report", name)).data.get("rows", []) for name in declared.names("report")}
    assert [name for name, rows in files.items() if any("adopted" in row for row in rows)] == ["table3"]
    assert [name for name, rows in files.items() if any("adopted_from" in row for row in rows)] == ["figure2"]


@pytest.mark.parametrize("name", declared.names("report"))
def test_no_number_of_the_paper_hides_in_a_comment_or_a_note(name: str) -> None:
    document = parse(declared.read("report", name))
    listed = [number for row in document.data.get("rows", []) for number in (*row.get("paper", ()), *row.get("adopted", ()))]
    written = [float(text) for text in re.findall(r"(?<![\d.])\d\d\.\d\b", document.text)]
    known = [number for number in listed if isinstance(number, float)]
    assert sorted(written) == sorted(known + FOREIGN.get(name, []))


FOREIGN = {"speedrun": [85.6, 83.2]}
"""Of another repository, with their source."""
