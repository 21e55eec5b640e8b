"""The declared files: each validates and means what it says. The paper's numbers: tests/test_papers_numbers.py."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from jsonschema.validators import Draft4Validator

from simclr_spec.language import declared
from simclr_spec.language import report as report_language
from simclr_spec.language.document import parse
from simclr_spec.language.overlay import read_overlay
from simclr_spec.language.schemas import SCHEMAS, published
from simclr_spec.plan import compile
from simclr_spec.stages.kinds import KINDS

ROOT = Path(__file__).parents[1]
DECLARED = [(kind, name) for kind in declared.FOLDERS for name in declared.names(kind)]


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


# The memory must be there, whatever a scale says: it is what the study is about.
VARIED = {"study_memory": {"memory.enabled"}}


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


# The author's CIFAR-10 setting, issue #166, all of it: rate 0.2 by the square root of the batch, two layers, 64 outputs, 0.2.
def test_the_cifar10_scale_takes_the_authors_setting_whole() -> None:
    steps = [step for step in compile(["table1"], scale="cifar10").steps if step.kind == "pretrain"]
    named = ("learning_rate", "learning_rate_scaling", "temperature", "head.layers", "head.out_dim")
    assert {tuple(step.origins[name].value for name in named) for step in steps} == {(0.2, "sqrt", 0.2, 2, 64)}
    changed = {name for name in named if name != "learning_rate_scaling"}  # which is the recipe's own
    assert all("#166" in step.origins[name].source for step in steps for name in changed)
