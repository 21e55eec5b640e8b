"""No document, however strange, brings a traceback or keeps anyone waiting."""

from __future__ import annotations

import copy
import json
import random
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simclr_spec.core.errors import SimclrSpecError
from simclr_spec.language import declared, runner
from simclr_spec.language.machine import read_machine
from simclr_spec.plan import compile
from simclr_spec.report.select import validate

STRANGE: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    1e300,
    2**53,
    "",
    "x",
    "none",
    "pretrain",
    "a.toml",
    "../x.toml",
    "\x00",
    [],
    [[]],
    {},
]
STRANGE += [
    [1, "a"],
    {"a": 1},
    {"stage": "finetune"},
    {"stage": 5},
    [{"depth": 50}],
    {"product": {"depth": [50, 18], "width": [1, 2, 3]}},
]
KEYS = ["zz", "from", "teacher", "seeds", "encoders", "kind", "label_fraction", "rules", "encoder", "dataset", "from_layer"]


def _places(value: Any, table: Any = None, key: Any = None) -> Iterator[tuple[Any, Any]]:
    """(container, key) of everything inside."""
    if table is not None:
        yield table, key
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for inner, item in list(items):
        yield from _places(item, value, inner)


def _mangle(document: dict[str, Any], chance: random.Random) -> None:
    table, key = chance.choice(list(_places(document)))
    how = chance.random()
    if how < 0.6:
        table[key] = copy.deepcopy(chance.choice(STRANGE))
    elif isinstance(table, dict) and how < 0.8:
        del table[key]
    elif isinstance(table, dict):
        table[chance.choice(KEYS)] = copy.deepcopy(chance.choice(STRANGE))


def _used(kind: declared.FileKind, file: Path) -> None:
    """As a command would use it."""
    name = str(file)
    if kind == "spec":
        compile([name])
    elif kind == "recipe":
        spec = file.with_name("uses.toml")
        spec.write_text(declared.read("spec", "quickstart").text.replace('"simclrv2"', f'"{file.name}"'))
        compile([str(spec)])
    elif kind == "dataset":
        compile(["table1"], sets=[f"dataset={name}"])
    elif kind == "scale":
        compile(["table1"], scale=name)
    elif kind == "runner":
        runner.read(name)
    elif kind == "machine":
        read_machine(name)
    else:
        validate(name)


NAMES: dict[declared.FileKind, str] = {
    "spec": "quickstart",
    "recipe": "simclrv2",
    "dataset": "imagenet",
    "scale": "digits",
    "runner": "local",
    "machine": "h100",
    "report": "quickstart",
}


@pytest.mark.parametrize(("kind", "name"), NAMES.items())
def test_mangled_documents_are_read_or_are_answered(kind: declared.FileKind, name: str, tmp_path: Path) -> None:
    chance = random.Random(kind)
    answered = 0
    for number in range(100):
        document = tomllib.loads(declared.read(kind, name).text)
        for _ in range(chance.choice([1, 2, 3])):
            _mangle(document, chance)
        file = tmp_path / f"{kind}{number}.json"
        file.write_text(json.dumps(document))
        start = time.process_time()
        try:
            _used(kind, file)
        except SimclrSpecError as error:
            answered += bool(str(error))
        assert time.process_time() - start < 1
    assert answered > 30
