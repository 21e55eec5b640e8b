"""Names in the language and implementations in `train/` are the same set."""

from __future__ import annotations

import ast
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from simclr_spec import train
from simclr_spec.language import coordinates, declared, runner, schemas
from simclr_spec.stages import network
from simclr_spec.stages.common import AugmentConfig, DatasetConfig, EncoderConfig, HeadConfig, LabelsConfig
from simclr_spec.stages.kinds import KINDS, METRICS
from simclr_spec.stages.pretrain import MemoryConfig
from simclr_spec.train import optim
from simclr_spec.train.data import datasets
from simclr_spec.train.loop import fit
from simclr_spec.train.model import encoder
from simclr_spec.train.views import colour

TABLES = (DatasetConfig, EncoderConfig, HeadConfig, AugmentConfig, LabelsConfig, MemoryConfig, *KINDS.values())
OPTIONS = {f.name: {*get_args(f.type)} for table in TABLES for f in fields(table) if get_origin(f.type) is Literal}
ALL_ASKED = {"bn_statistics", "crop", "stem"}


def test_kinds_of_training() -> None:
    assert KINDS.keys() == fit.STAGES.keys() == METRICS.keys() == {*coordinates.KEYS["kind"]["enum"]}


def test_tables_of_the_training() -> None:
    assert OPTIONS["colour"] == colour.OPERATIONS.keys()
    assert OPTIONS["depth"] == encoder.BLOCKS.keys()
    assert encoder.BLOCKS == network._BLOCKS
    assert OPTIONS["loader"] == {"digits", *datasets._LOADERS}
    for scaling in OPTIONS["learning_rate_scaling"]:
        config: Any = SimpleNamespace(learning_rate=1.0, learning_rate_scaling=scaling)
        assert optim.peak_learning_rate(config, 512) > 0


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
