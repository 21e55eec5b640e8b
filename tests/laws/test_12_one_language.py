"""One language of coordinates everywhere: conditions of recipes and scales, cells of reports, selectors of commands."""

from __future__ import annotations

from typing import Any

import pytest

from simclr_spec.core import fields
from simclr_spec.language import overlay, report
from simclr_spec.language.coordinates import KEYS, as_selector, matches, parse, selector_schema
from simclr_spec.plan import compile
from simclr_spec.store.layout import Store
from tests.typed import run


def keys(table: dict[str, Any]) -> set[str]:
    """Of a JSON Schema."""
    return set(table["properties"])


def test_reports_know_the_coordinates_of_selectors() -> None:
    row, column = fields.schema(report.Row), fields.schema(report.Column)
    for where in (row["properties"]["where"], column["properties"]["where"]):
        tables = [where, *where.get("anyOf", ())]
        assert keys(next(one for one in tables if "properties" in one)) == keys(selector_schema()) == set(KEYS)


def test_conditions_of_recipes_and_scales_are_of_the_same_language() -> None:
    for table in (overlay.recipe(), overlay.scale()):
        when = table["properties"]["pretrain"]["properties"]["rules"]["items"]["properties"]["when"]
        assert keys(when) <= set(KEYS)
        assert all(when["properties"][key] == selector_schema([key])["properties"][key] for key in keys(when))


@pytest.mark.parametrize("typed", ["stage=finetune width=2", "label_fraction=0.1,1.0", "kind=distill seed=0"])
def test_what_is_typed_selects_the_steps_that_a_file_would(typed: str) -> None:
    selector = parse([typed])
    assert selector is not None
    steps = compile(["quickstart"]).steps
    assert [step.id for step in compile(["quickstart"]).select(selector)] == [
        step.id for step in steps if any(matches(where, selector.table) for where in (step.coordinates, *step.also))
    ]
    assert parse([as_selector(selector.table)]) == selector, "and what is shown can be typed back"


def test_every_command_that_selects_refuses_other_words_alike(store: Store) -> None:
    store.path.mkdir()
    for command in ("plan", "run", "explain", "report", "status", "logs", "cancel", "retry"):
        done = run(command, "quickstart", "widht=1")
        assert (done.exit_code, done.output) == (2, "no coordinate is named 'widht'; did you mean 'width'?\n"), command
