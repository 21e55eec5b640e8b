"""The declared files: each validates and means what it says; the paper's numbers against a second transcription."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonschema.validators import Draft4Validator

from simclr_spec.core.errors import SpecError
from simclr_spec.core.fields import build
from simclr_spec.language import declared
from simclr_spec.language import report as report_language
from simclr_spec.language.document import parse
from simclr_spec.language.overlay import read_overlay
from simclr_spec.language.schemas import SCHEMAS, published
from simclr_spec.plan import compile
from simclr_spec.stages.common import EncoderConfig
from simclr_spec.stages.kinds import KINDS
from simclr_spec.train.model.encoder import Encoder

ROOT = Path(__file__).parents[1]
DECLARED = [(kind, name) for kind in declared.FOLDERS for name in declared.names(kind)]

# Table 1 of arXiv:2006.10029v2, line by line as printed:
# depth, width, selective kernels, parameters (M), fine-tuned on 1 %, 10 %, 100 %, linear evaluation, supervised
TABLE_1 = """
50  1 False  24  57.9 68.4 76.3  71.7  76.6
50  1 True   35  64.5 72.1 78.7  74.6  78.5
50  2 False  94  66.3 73.9 79.1  75.6  77.8
50  2 True  140  70.6 77.0 81.3  77.7  79.3
101 1 False  43  62.1 71.4 78.2  73.6  78.0
101 1 True   65  68.3 75.1 80.6  76.3  79.6
101 2 False 170  69.1 75.8 80.7  77.0  78.9
101 2 True  257  73.2 78.8 82.4  79.0  80.1
152 1 False  58  64.0 73.0 79.3  74.5  78.3
152 1 True   89  70.0 76.5 81.3  77.2  79.9
152 2 False 233  70.2 76.6 81.1  77.4  79.1
152 2 True  354  74.2 79.4 82.9  79.4  80.4
152 3 True  795  74.9 80.1 83.1  79.8  80.5
"""


def _printed() -> dict[tuple[int, int, bool], list[float]]:
    rows = [line.split() for line in TABLE_1.strip().splitlines()]
    return {(int(row[0]), int(row[1]), row[2] == "True"): [float(value) for value in row[3:]] for row in rows}


def _key(where: dict[str, Any]) -> tuple[int, int, bool]:
    return where["depth"], where["width"], where["sk"]


@pytest.mark.parametrize(("kind", "name"), DECLARED)
def test_every_declared_file_obeys_its_published_schema(kind: declared.FileKind, name: str) -> None:
    document = parse(declared.read(kind, name))
    for schema in (SCHEMAS[kind](), published(kind)):
        Draft4Validator.check_schema(schema)
        assert not list(Draft4Validator(schema).iter_errors(document.data))


@pytest.mark.parametrize("kind", declared.FOLDERS)
def test_the_shipped_schemas_are_those_of_the_program(kind: declared.FileKind) -> None:
    file = ROOT / "specs" / "schemas" / f"{kind}.json"
    assert json.loads(file.read_text()) == published(kind), f"simclr-spec schema {kind} > {file.relative_to(ROOT)}"


@pytest.mark.parametrize(("kind", "name"), DECLARED)
def test_every_declared_file_names_its_schema_to_editors(kind: declared.FileKind, name: str) -> None:
    file = ROOT / declared.FOLDERS[kind] / f"{name}.toml"
    directive, _, named = file.read_text().partition("\n")[0].partition(" ")
    assert directive == "#:schema"
    assert (file.parent / named).resolve() == ROOT / "specs" / "schemas" / f"{kind}.json"


@pytest.mark.parametrize(("kind", "name"), DECLARED)
def test_a_file_of_the_package_that_a_declared_file_names_is_there(kind: declared.FileKind, name: str) -> None:
    named = re.findall(r"simclr_spec/[\w/]+\.py", declared.read(kind, name).text)
    assert [file for file in named if not (ROOT / file).is_file()] == []


@pytest.mark.parametrize(("kind", "name"), DECLARED)
def test_a_key_that_nobody_knows_is_refused_in_every_kind_of_file(kind: declared.FileKind, name: str) -> None:
    data = parse(declared.read(kind, name)).data | {"nobody_knows": 1}
    assert list(Draft4Validator(SCHEMAS[kind]()).iter_errors(data))


@pytest.mark.parametrize("name", declared.names("recipe"))
def test_a_recipe_gives_every_field_of_every_kind_with_source_and_status(name: str) -> None:
    layer = read_overlay("recipe", name, None)
    for kind in KINDS:
        for field, setting in {**layer.settings["common"], **layer.settings[kind]}.items():
            assert setting.source, (kind, field)
            assert setting.status in ("paper", "code", "author", "derived", "assumed"), (kind, field)


@pytest.mark.parametrize("name", declared.names("report"))
def test_a_report_in_json_means_the_same_as_in_toml(name: str, tmp_path: Path) -> None:
    report, source = report_language.load(name)
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(source.data), encoding="utf-8")
    assert report_language.load(str(path))[0] == report


def test_table_1_of_the_report_is_table_1_of_the_paper() -> None:
    report, _ = report_language.load("table1")
    assert [column.title for column in report.columns] == [
        "Param (M)",
        "1 %",
        "10 %",
        "100 %",
        "linear",
        "linear, on the fly",
        "supervised",
    ]
    declared = {_key(row.where or {}): [number for number in row.paper or () if number is not None] for row in report.rows}
    assert all(row.paper and row.paper[5] is None for row in report.rows)
    assert declared == _printed()
    assert list(declared) == list(_printed()), "rows in the paper's order"


def test_table_1_of_the_spec_has_the_papers_78_steps() -> None:
    steps = compile(["table1"]).steps
    counts = {kind: sum(step.kind == kind for step in steps) for kind in KINDS}
    assert counts == {"pretrain": 13, "finetune": 39, "linear_eval": 13, "supervised": 13, "distill": 0}
    assert {_key(dict(step.coordinates)) for step in steps} == set(_printed())


@pytest.mark.parametrize("encoder", _printed(), ids=str)
def test_the_papers_parameter_counts_are_those_of_our_encoders(encoder: tuple[int, int, bool]) -> None:
    """Trainable parameters and BN's moving statistics up to the final average pooling, in millions."""
    depth, width, sk = encoder
    step = next(
        s for s in compile(["table1"]).steps if s.kind == "pretrain" and _key(dict(s.coordinates)) == (depth, width, sk)
    )
    config = build(EncoderConfig, step.params["encoder"])
    with torch.device("meta"):
        network = Encoder(config)
    count = sum(tensor.numel() for tensor in network.state_dict().values())
    assert round(count / 1e6) == _printed()[encoder][0]


# What a study varies, it says itself.
VARIED = {"study_memory": {"memory.enabled"}, "study_temperature": {"temperature"}}


@pytest.mark.parametrize("name", declared.names("spec"))
def test_specs_name_no_hyper_parameter_but_what_a_study_varies(name: str) -> None:
    """What a spec sets wins over every scale: declared specs leave values to recipe and scale."""
    set_here = {
        field
        for step in compile([name]).steps
        for field, setting in step.origins.items()
        if setting.layer == "spec" and not field.startswith("dataset.")
    }
    assert set_here == VARIED.get(name, set())


def test_a_number_of_the_paper_with_a_typo_in_it_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "table1.toml"
    path.write_text(declared.read("report", "table1").text.replace("57.9", "57,9"), encoding="utf-8")
    with pytest.raises(SpecError, match=r"table1\.toml:21:\d+: 8 values, but this row has 7 cells"):
        report_language.load(str(path))


# The author's CIFAR-10 setting, issue #166, all of it: rate 0.2 by the square root of the batch, two layers, 64 outputs, 0.2.
def test_the_cifar10_scale_takes_the_authors_setting_whole() -> None:
    steps = [step for step in compile(["table1"], scale="cifar10").steps if step.kind == "pretrain"]
    named = ("learning_rate", "learning_rate_scaling", "temperature", "head.layers", "head.out_dim")
    assert {tuple(step.origins[name].value for name in named) for step in steps} == {(0.2, "sqrt", 0.2, 2, 64)}
    changed = {name for name in named if name != "learning_rate_scaling"}  # which is the recipe's own
    assert all("#166" in step.origins[name].source for step in steps for name in changed)
