"""The names that the language allows are those that there is code for."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import get_args, get_type_hints

from simclr_spec import train
from simclr_spec.core.fields import schema
from simclr_spec.language import coordinates, declared, runner, schemas
from simclr_spec.stages import network, schedule
from simclr_spec.stages.common import AugmentConfig, DatasetConfig, EncoderConfig, HeadConfig, LabelsConfig
from simclr_spec.stages.kinds import KINDS
from simclr_spec.stages.pretrain import MemoryConfig
from simclr_spec.train.data import datasets
from simclr_spec.train.loop import fit
from simclr_spec.train.loop.job import imported
from simclr_spec.train.stages.stage import Stage
from simclr_spec.train.views import colour

TABLES = (
    DatasetConfig,
    EncoderConfig,
    HeadConfig,
    AugmentConfig,
    LabelsConfig,
    MemoryConfig,
    *(kind.parameters for kind in KINDS.values()),
)
OPTIONS = {name: {*leaf["enum"]} for table in TABLES for name, leaf in schema(table)["properties"].items() if "enum" in leaf}
ALL_ASKED = {"bn_statistics", "crop", "stem"}


def test_kinds_of_training() -> None:
    assert {*KINDS} == {*coordinates.KEYS["kind"]["enum"]}
    for name, kind in KINDS.items():
        assert issubclass(fit.stage_class(name), Stage)
        assert callable(imported(kind.executor))


def test_tables_of_the_training() -> None:
    assert OPTIONS["colour"] == colour.OPERATIONS.keys()
    assert OPTIONS["depth"] == network.BLOCKS.keys()
    assert OPTIONS["loader"] == {"digits", *datasets._LOADERS}
    assert OPTIONS["learning_rate_scaling"] == schedule.SCALINGS.keys()
    assert OPTIONS["decay"] == schedule.DECAYS.keys()


def test_files_and_runners() -> None:
    assert {*get_args(declared.Kind)} == declared.FOLDERS.keys() == schemas.SCHEMAS.keys()
    assert {name: get_args(get_type_hints(cls)["kind"]) for name, cls in runner.KINDS.items()} == {
        k: (k,) for k in runner.KINDS
    }


def test_every_option_but_one_is_asked_for() -> None:
    """`config.crop == "tensorflow"`: what is asked for can be written, and one option is what remains (in ALL_ASKED none)."""
    asked: dict[str, set[str]] = {}
    for file in Path(train.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Compare(ast.Attribute(attr=name), _, [ast.Constant(str(word))]) if name in OPTIONS:
                    asked.setdefault(name, set()).add(word)
    assert asked.keys() >= {"crop", "optimizer", "sampler", "stem", "bn_variance", "in_batch", "precision"}
    assert {name: words - OPTIONS[name] for name, words in asked.items() if words - OPTIONS[name]} == {}
    assert {
        name: OPTIONS[name] - words for name, words in asked.items() if len(OPTIONS[name] - words) != (name not in ALL_ASKED)
    } == {}
