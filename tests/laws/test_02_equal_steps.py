"""Equal Steps of different specs are one run; a run folder's label is a pure function of the Step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simclr_spec.core.errors import SpecError
from simclr_spec.core.fields import Schema
from simclr_spec.language import declared, schema
from simclr_spec.language.document.validator import draft4
from simclr_spec.language.schemas import SCHEMAS
from simclr_spec.language.setting import coerce
from simclr_spec.language.written import settable
from simclr_spec.plan import compile, label
from simclr_spec.stages.kinds import KINDS
from simclr_spec.stages.network import BLOCKS
from tests.specs import renamed_quickstart


def test_a_second_spec_with_the_same_steps_adds_none(tmp_path: Path) -> None:
    alone, both = compile(["quickstart"]), compile(["quickstart", renamed_quickstart(tmp_path)])
    assert [step.id for step in both.steps] == [step.id for step in alone.steps]
    assert both.asked == 2 * alone.asked
    assert {step.stages for step in both.steps} > {("linear", "probe"), ("pretrain",)}


def test_the_label_follows_from_the_parameters_alone() -> None:
    for step in compile(["table1", "quickstart"], scale="digits").steps:
        assert step.label == label(step.params)
        assert step.id == f"{step.kind}/{step.label}-{step.fingerprint[:8]}"


def spellings(leaf: Schema) -> Iterator[list[Any]]:
    """Of several numbers those of 1, 1.0 and true that the schema takes."""
    takes = draft4(leaf).is_valid
    for number in (0, 1, 2, *BLOCKS):
        yield [word for word in (number, float(number), bool(number)) if word == number and takes(word)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_parameter_is_one_value_however_it_is_written(kind: str) -> None:
    for name, leaf in schema.fields(kind).items():
        for words in spellings(settable(leaf)):
            assert len({repr(coerce(word, leaf)) for word in words}) <= 1, (name, words)


def leaves(part: Any, where: str = "") -> Iterator[tuple[str, Schema]]:
    """Every schema inside of one value that is read as it is written: numbers are read as floats."""
    if isinstance(part, dict) and ("enum" in part or part.get("type") in ("integer", "boolean")):
        yield where, part
    for name, inner in part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ():
        yield from leaves(inner, f"{where}/{name}")


@pytest.mark.parametrize("kind", declared.FOLDERS)
def test_what_is_read_as_it_is_written_is_written_in_one_way(kind: declared.FileKind) -> None:
    for where, leaf in leaves(SCHEMAS[kind]()):
        assert all(len(words) <= 1 for words in spellings(leaf)), (where, leaf)


def test_a_depth_is_a_whole_number(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(declared.read("spec", "quickstart").text.replace("depth = 18", "depth = 18.0"), encoding="utf-8")
    with pytest.raises(SpecError, match=r"depth must be 18, 34, 50, 101, 152 or 200, not 18\.0"):
        compile([str(file)])
