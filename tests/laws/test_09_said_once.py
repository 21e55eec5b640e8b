"""Each number of the paper stands once in `reports/`, each hyper-parameter once in `specs/recipes/`.

Each constant of a data set stands once in `specs/datasets/`. The second, independent transcription: tests/test_declared.py and
tests/language/test_recipe.py; that specs set no hyper-parameter: there, too.
"""

from __future__ import annotations

from simclr_spec.language import declared
from simclr_spec.language.document import parse
from simclr_spec.language.report import load
from simclr_spec.plan import compile


def test_at_the_papers_scale_every_hyper_parameter_is_the_recipes() -> None:
    for step in compile(["table1"], scale="paper").steps:
        layers = {setting.layer for setting in step.origins.values()}
        assert layers <= {"recipe", "dataset", "axis", "fixed"}, step.id


def test_constants_of_a_data_set_stand_in_its_file_alone() -> None:
    for name in declared.names("recipe"):
        tables = {key: value for key, value in parse(declared.read("recipe", name)).data.items() if isinstance(value, dict)}
        assert [key for key, table in tables.items() if isinstance(table.get("dataset"), dict)] == [], name


def test_no_report_but_one_has_a_number_of_the_paper() -> None:
    """A row's `paper` in two files would be one number twice."""
    assert [name for name in declared.names("report") if any(row.paper for row in load(name)[0].rows)] == ["table1"]
