"""The formats of reports are said once: their files, the command line and the suffixes agree."""

from __future__ import annotations

import pkgutil

import click
import pytest

from simclr_spec.cli.main import main
from simclr_spec.plan import compile
from simclr_spec.report import formats
from simclr_spec.report.formats.registry import SUFFIXES, WRITTEN, render
from simclr_spec.report.output import format_of
from simclr_spec.report.table import make
from simclr_spec.store.layout import Store
from tests.finished import finish


def test_every_file_is_a_format_and_the_command_line_offers_each() -> None:
    files = {module.name for module in pkgutil.iter_modules(formats.__path__)} - {"registry"}
    option = next(one for one in main.commands["report"].params if one.name == "form")
    assert isinstance(option.type, click.Choice)
    assert files == SUFFIXES.keys() == set(option.type.choices)


@pytest.mark.parametrize(("name", "suffix"), WRITTEN.items())
def test_a_format_is_found_by_its_suffix_and_writes_every_row(name: str, suffix: str, store: Store) -> None:
    finish(store, next(step for step in compile(["quickstart"]).steps if step.stage == "linear"), {"top1": 50.0})
    assert format_of(None, f"mine{suffix}") == name
    assert "linear, small" in render(name, make("quickstart", store))
