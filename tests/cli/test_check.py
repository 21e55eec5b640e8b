"""`simclr-spec check`, `schema` and `list`; files of one kind taken for another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema.validators import Draft4Validator

from simclr_spec.language import declared, runner
from tests.finished import FEW
from tests.typed import run


@pytest.mark.parametrize("kind", declared.FOLDERS)
def test_check_tells_the_kind_of_a_file(kind: declared.FileKind, tmp_path: Path) -> None:
    for name in declared.names(kind):
        file = tmp_path / f"{name}.toml"
        file.write_text(declared.read(kind, name).text)
        told = run("check", str(file)).output
        assert told == f"{file}: a {kind}, no faults\n" or (kind == "spec" and told.endswith(" Steps, no faults\n"))


def test_what_extends_is_a_recipe_whatever_is_wrong_with_it(tmp_path: Path) -> None:
    file = tmp_path / "warm.toml"
    file.write_text('title = "Warm"\nextends = "simclrv2"\n[pretrain]\ntemperature = 0.5\n')
    done = run("check", str(file))
    assert (done.exit_code, done.output) == (
        2,
        f"{file}:4:15: temperature must be a table, not 0.5\n1 fault, nothing planned.\n",
    )


def test_check_tells_the_faults_of_a_scale_and_takes_no_scale_for_it(tmp_path: Path) -> None:
    file = tmp_path / "big.toml"
    file.write_text('title = "Big"\n[pretrain]\nepoch = 3\n')
    assert run("check", str(file)).output.startswith(f"{file}:3:1: unknown key 'epoch' in [pretrain]; did you mean 'epochs'?")
    assert run("check", str(file), "--scale", "digits").output == f"{file} is a scale: --scale and --set change specs\n"


def test_check_takes_declared_reports_and_specs_win() -> None:
    assert run("check", "figure1", "table1").output == "figure1: a report, no faults\ntable1: 78 Steps, no faults\n"


def test_check_says_so_when_there_are_no_faults() -> None:
    assert run("check", "table1").output == "table1: 78 Steps, no faults\n"
    assert "spec quickstart: no faults" in run("check").output


def test_check_lists_all_faults_and_exits_with_2(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text('titel = "t"\nrecipe = "simclrv2"\nencoders = [{ depth = 51 }]\n[stages.p]\nkind = "pretrain"\n')
    done = run("check", str(file))
    assert done.exit_code == 2
    assert done.output.splitlines() == [
        f"{file}:1:1: unknown key 'titel' at the top level; did you mean 'title'?",
        f"{file}:3:23: depth must be 18, 34, 50, 101, 152 or 200, not 51",
        "2 faults, nothing planned.",
    ]


@pytest.mark.parametrize("kind", declared.FOLDERS)
def test_schemas_are_draft_4(kind: str) -> None:
    schema = json.loads(run("schema", kind).output)
    Draft4Validator.check_schema(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-04/schema#"


def test_list_names_every_kind() -> None:
    output = run("list").output
    for line in ("spec     table1             Table 1", "dataset  imagenet", "machine  h200               NVIDIA H200"):
        assert line in output


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (
            ("plan", "reports/table1.toml"),
            "a report, not a spec: `simclr-spec report reports/table1.toml` prints it, `--cell reports/table1.toml` plans",
        ),
        (("report", "specs/table1.toml"), "a spec, not a report: `simclr-spec run specs/table1.toml` runs it; declared"),
        (("run", "specs/scales/digits.toml"), "a scale, not a spec: `--scale specs/scales/digits.toml` uses it; declared"),
        (("plan", "specs/recipes/simclrv2.toml"), 'a recipe, not a spec: a spec names it, as in recipe = "specs/rec'),
        (("plan", "specs/datasets/digits.toml"), 'a data set, not a spec: a spec names it, as in dataset = "specs/data'),
        (("plan", "table1", "--scale", "specs/table1.toml"), "a spec, not a scale: `simclr-spec run specs/table1.toml`"),
        (("run", "table1", "--runner", "reports/table1.toml"), "a report, not a runner: `simclr-spec report reports/tab"),
        (("plan", "table1", "--machine", "runners/local.toml"), "a runner, not a machine: `simclr-spec run SPEC --runner"),
        (
            ("run", "h200"),
            "a machine, not a spec: `simclr-spec plan SPEC --machine h200` estimates costs for it; declared",
        ),
        (("report", "imagenet"), 'a data set, not a report: a spec names it, as in dataset = "imagenet"; declared reports'),
        (("plan", "table1", "--scale", "simclrv2"), 'a recipe, not a scale: a spec names it, as in recipe = "simclrv2"'),
    ],
)
@pytest.mark.usefixtures("store")
def test_a_file_of_another_kind_is_told_in_one_line(
    command: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    done = run(*command)
    (mistaken,) = [word for word in command[1:] if f"{word} is {told}" in done.output]
    assert (done.exit_code, len(done.output.splitlines())) == (2, 1)
    assert done.output.startswith(mistaken)


@pytest.mark.usefixtures("store")
def test_a_faulty_spec_with_a_key_of_a_report_is_still_a_spec(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('title = "Mine"\nrecipe = "simclrv2"\nrows = []\n')
    assert f"{file}:3:1: unknown key 'rows' at the top level" in run("plan", str(file)).output


@pytest.mark.usefixtures("store")
def test_a_recipe_that_is_a_report_is_told_where_the_spec_names_it(tmp_path: Path) -> None:
    spec = declared.read("spec", "quickstart").text.replace('recipe = "simclrv2"', 'recipe = "other.toml"')
    (tmp_path / "mine.toml").write_text(spec)
    (tmp_path / "other.toml").write_text(declared.read("report", "quickstart").text)
    told = run("plan", str(tmp_path / "mine.toml")).output
    assert told.startswith(f"{tmp_path}/mine.toml:")
    assert f": {tmp_path}/other.toml is a report, not a recipe: " in told


@pytest.mark.parametrize("kind", declared.FOLDERS)
def test_a_file_may_name_its_schema(kind: declared.FileKind, tmp_path: Path) -> None:
    import tomllib

    from simclr_spec.language.document import load
    from simclr_spec.language.schemas import SCHEMAS

    name = declared.names(kind)[0]
    file = tmp_path / "x.json"
    file.write_text(json.dumps({"$schema": "x.schema.json", **tomllib.loads(declared.read(kind, name).text)}))
    assert load(kind, str(file), SCHEMAS[kind]).data["$schema"] == "x.schema.json"
    if kind == "runner":
        assert runner.read(str(file)) == runner.read(name)
    if kind == "machine":
        assert run("plan", FEW, "--machine", str(file)).exit_code == 0
