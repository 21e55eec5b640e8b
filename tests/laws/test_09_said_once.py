"""Each number of the paper stands once in `reports/`, each hyper-parameter once in `specs/recipes/`.

Each constant of a data set stands once in `specs/datasets/`. The second, independent transcription: tests/test_declared.py and
tests/language/test_recipe.py; that specs set no hyper-parameter: there, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from simclr_spec.language import declared
from simclr_spec.language.document import parse
from simclr_spec.language.report import load
from simclr_spec.plan import compile


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


def test_no_report_but_one_has_a_number_of_the_paper() -> None:
    """A row's `paper` in two files would be one number twice."""
    assert [name for name in declared.names("report") if any(row.paper for row in load(name)[0].rows)] == ["table1"]
