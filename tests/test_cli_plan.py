"""plan, explain, check, list and schema, as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema.validators import Draft4Validator

from simclr_spec import library
from simclr_spec.plan import compile
from simclr_spec.store import Store
from tests.finished import prepare
from tests.typed import run


@pytest.mark.usefixtures("store")
def test_the_table_tells_steps_by_stage_and_the_whole() -> None:
    lines = run("plan", "table1").output.splitlines()
    assert lines[0] == "Table 1 · 78 Steps · 13 encoders · the recipe's own scale"
    assert lines[1].split() == ["stage", "steps", "done", "ready", "waits", "GPU-hours", "GPUs", "for", "a", "batch"]
    rows = {line.split()[0]: line.split()[1:5] for line in lines[2:7]}
    assert rows == {
        "pretrain": ["13", "–", "13", "–"],
        "finetune": ["39", "–", "–", "39"],
        "linear_eval": ["13", "–", "–", "13"],
        "supervised": ["13", "–", "13", "–"],
        "total": ["78", "–", "26", "52"],
    }


@pytest.mark.usefixtures("store")
def test_json_is_the_documented_contract() -> None:
    plan = json.loads(run("plan", "quickstart", "--format", "json").output)
    steps = compile(["quickstart"]).steps
    assert [step["fingerprint"] for step in plan["steps"]] == [step.fingerprint for step in steps]
    keys = {"id", "fingerprint", "stage", "kind", "label", "coordinates", "needs", "state", "runs", "why", "params", "cost"}
    assert all(set(step) == keys for step in plan["steps"])
    assert {"parameters", "flops", "seconds"} <= set(plan["steps"][0]["cost"])
    document = (Path(__file__).parents[1] / "docs/plan-json.md").read_text()
    named = [*plan, *plan["steps"][0], *plan["steps"][0]["cost"], *plan["totals"]]
    assert [key for key in named if f"`{key}`" not in document] == []


@pytest.mark.usefixtures("store")
def test_dot_has_a_node_per_step_and_an_edge_per_need() -> None:
    lines = run("plan", "table1", "stage=finetune", "depth=50", "width=1", "--format", "dot").output.splitlines()
    assert sum("label=" in line for line in lines) == 6
    assert not any("->" in line for line in lines)
    whole = run("plan", "table1", "--format", "dot").output
    assert whole.count("->") == 52


@pytest.mark.usefixtures("store")
def test_a_budget_refuses() -> None:
    done = run("plan", "table1", "--max-gpu-hours", "100")
    assert done.exit_code == 2
    assert done.output.strip().endswith("GPU-hours, more than the 100 of --max-gpu-hours; nothing started")


@pytest.mark.usefixtures("store")
def test_a_plan_is_written_with_its_digest(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    done = run("plan", "quickstart", "-o", str(file))
    digest = compile(["quickstart"]).digest
    assert done.output.strip() == f"{file}: {len(compile(['quickstart']).steps)} Steps, digest {digest}"
    assert json.loads(file.read_text())["digest"] == digest


def test_explain_one_step_by_its_coordinates() -> None:
    done = run("explain", "table1", "stage=pretrain", "depth=50", "width=1", "sk=false")
    line = next(line for line in done.output.splitlines() if line.strip().startswith("temperature"))
    assert line.split()[:3] == ["temperature", "0.1", "code"]
    assert "specs/recipes/simclrv2.toml:" in line
    assert done.output.startswith("pretrain/r50-1x-imagenet-s0-")


def test_explain_a_spec_lists_deviations_and_assumptions() -> None:
    output = run("explain", "table1", "--set", "pretrain.epochs=100").output
    assert "Deviations: 1\n" in output
    line = next(line for line in output.splitlines() if "instead of" in line)
    assert line.split() == ["epochs", "100", "instead", "of", "800", "pretrain", "--set", "pretrain.epochs=100"]
    assert "bn_statistics" in output[output.index("Assumptions:") :]


def _one_stage(folder: Path, kind: str) -> str:
    file = folder / f"{kind}.toml"
    file.write_text(f'title = "{kind}"\nrecipe = "simclrv2"\nencoders = [{{ depth = 18 }}]\n[stages.a]\nkind = "{kind}"\n')
    return str(file)


def test_explain_two_specs_whose_stages_have_one_name_and_two_kinds(tmp_path: Path) -> None:
    output = run("explain", _one_stage(tmp_path, "pretrain"), _one_stage(tmp_path, "supervised")).output
    heads = [line for line in output.splitlines() if line.startswith("[")]
    assert heads == ["[stages.a] · pretrain · 1 Step", "[stages.a] · supervised · 1 Step"]


def test_explain_a_spec_of_one_step_lists_deviations_and_assumptions(tmp_path: Path) -> None:
    output = run("explain", _one_stage(tmp_path, "pretrain"), "--set", "epochs=100").output
    assert "\nDeviations: 1\n" in output
    assert "bn_statistics" in output[output.index("\nAssumptions:") :]


@pytest.mark.parametrize("kind", library.FOLDERS)
def test_check_tells_the_kind_of_a_file(kind: library.Kind, tmp_path: Path) -> None:
    for name in library.names(kind):
        file = tmp_path / f"{name}.toml"
        file.write_text(library.read(kind, name).text)
        told = run("check", str(file)).output
        assert told == f"{file}: a {kind}, no faults\n" or (kind == "spec" and told.endswith(" Steps, no faults\n"))


def test_check_tells_the_faults_of_a_scale_and_takes_no_scale_for_it(tmp_path: Path) -> None:
    file = tmp_path / "big.toml"
    file.write_text('title = "Big"\n[pretrain]\nepoch = 3\n')
    assert run("check", str(file)).output.startswith(f"{file}:3:1: unknown key 'epoch' in [pretrain]; did you mean 'epochs'?")
    assert run("check", str(file), "--scale", "digits").output == f"{file} is a scale: --scale and --set change specs\n"


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


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["plan"], "name a spec: quickstart"),
        (["plan", "tabel1"], "no spec is named 'tabel1'; did you mean 'table1'?"),
        (["plan", "table1", "--scale", "digit"], "no scale is named 'digit'; did you mean 'digits'?"),
        (["plan", "table1", "--machine", "h20"], "no machine is named 'h20'; did you mean 'h200'?"),
        (["plan", "table1", "--set", "epochs"], "--set wants KEY=VALUE, not 'epochs'"),
        (["plan", "table1", "dept=50"], "no coordinate is named 'dept'; did you mean 'depth'?"),
    ],
)
@pytest.mark.usefixtures("store")
def test_bad_usage_is_one_sentence_and_exit_2(arguments: list[str], sentence: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert done.output.startswith(sentence)
    assert "Traceback" not in done.output


@pytest.mark.parametrize("kind", ["spec", "recipe", "dataset", "scale", "runner", "machine", "report"])
def test_schemas_are_draft_4(kind: str) -> None:
    schema = json.loads(run("schema", kind).output)
    Draft4Validator.check_schema(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-04/schema#"


def test_list_names_every_kind() -> None:
    output = run("list").output
    for line in ("spec     table1         Table 1", "dataset  imagenet", "machine  h200           NVIDIA H200"):
        assert line in output


@pytest.mark.parametrize(
    "command", [("run", "quickstart"), ("status",), ("gc",), ("report", "quickstart"), ("retry",), ("cancel", "state=running")]
)
def test_a_store_that_is_a_file_is_refused_in_a_sentence(command: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.touch()
    for store in (file, file / "runs"):
        done = run(*command, "--store", str(store))
        assert (done.exit_code, len(done.output.splitlines())) == (2, 1), done.output
        assert done.output.startswith((f"cannot use {store}", f"there is nothing at {store}"))
    assert file.read_bytes() == b""


def test_a_damaged_file_in_a_run_folder_is_named(store: Store) -> None:
    step = compile(["quickstart"]).steps[0]
    folder = prepare(store, step)
    (folder.new_attempt().record).write_text('{"state": "fai')
    (folder.path / "step.json").write_text("[1]")
    for command, damaged in (
        (("plan", "quickstart"), "attempts/1/record.json"),
        (("status",), "step.json"),
        (("gc",), "step.json"),
    ):
        done = run(*command)
        assert (done.exit_code, done.output) == (
            1,
            f"{folder.path}/{damaged} is damaged: it holds no JSON table. Delete it, and run its spec\n",
        )
    (folder.path / "step.json").write_text('{"kind": "pretrain"}')
    done = run("status")
    lacking = "fingerprint, label, params, coordinates, needs"
    told = f"{folder.path}/step.json is damaged: it lacks {lacking}. Delete it, and run its spec\n"
    assert (done.exit_code, done.output) == (1, told)


@pytest.mark.usefixtures("store")
def test_steps_that_no_single_machine_holds_are_named_with_a_remedy() -> None:
    output = run("plan", "table1").output
    assert "✗ 41 Steps (13 pretrain, 15 finetune, 13 supervised) need more than one GPU (139 GiB) for a batch;\n" in output
    advice = "--set pretrain.micro_batch=128 --set finetune.micro_batch=256 --set supervised.micro_batch=256"
    assert f"({advice})\n" in output
    assert "✗" not in run("plan", "table1", "--set", "precision=bf16", *advice.split()).output


@pytest.mark.usefixtures("store")
def test_a_price_in_another_precision_is_told() -> None:
    sentence = "✗ priced in bf16, but 52 Steps will run in fp32, which takes more time and up to twice the memory;\n"
    assert sentence in run("plan", "table1", "stage=finetune").output
    assert "priced in" not in run("plan", "table1", "stage=finetune", "--set", "precision=bf16").output
    assert "priced in" not in run("plan", "quickstart").output


@pytest.mark.usefixtures("store")
def test_a_micro_batch_is_advised_only_where_it_helps(tmp_path: Path) -> None:
    small = library.read("machine", "h200").text.replace("memory_gib = 139", "memory_gib = 1")
    (tmp_path / "small.toml").write_text(small)
    selected = ("stage=pretrain", "depth=152", "width=3")
    output = run("plan", "table1", *selected, "--machine", str(tmp_path / "small.toml")).output
    assert "  no micro_batch makes pretrain fit: a machine with more memory is needed\n" in output
    assert "--set pretrain" not in output


@pytest.mark.parametrize(
    ("selector", "times"),
    [("stage=finetune depth=50 width=1 sk=false", 3.0), ("stage=pretrain depth=50", 0), ("stage=linear_eval", 0), ("", 3.8)],
)
@pytest.mark.usefixtures("store")
def test_what_sharing_saves_is_told_of_what_is_selected(selector: str, times: float) -> None:
    output = run("plan", "table1", *selector.split()).output
    assert (f"the cells cost {times} times as much\n" in output) if times else ("sharing" not in output)
    totals = json.loads(run("plan", "table1", *selector.split(), "--format", "json").output)["totals"]
    assert totals["hours_one_by_one"] / totals["hours"] == pytest.approx(times or 1.0, rel=0.05)


@pytest.mark.usefixtures("store")
def test_savings_of_nothing_are_not_told() -> None:
    tiny = ("--set", "train_steps=1", "--set", "test_images=1")
    assert "sharing" not in run("plan", "quickstart", *tiny).output


@pytest.mark.usefixtures("store")
def test_a_plan_is_never_written_over_what_it_is_made_from(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(library.read("spec", "quickstart").text.replace('"digits"', '"scale.toml"', 1))
    (tmp_path / "scale.toml").write_text(library.read("scale", "digits").text)
    for name in ("mine.toml", "scale.toml"):
        file, before = tmp_path / name, (tmp_path / name).read_bytes()
        done = run("plan", str(tmp_path / "mine.toml"), "-o", f"{tmp_path}/../{tmp_path.name}/{name}")
        assert (done.exit_code, file.read_bytes()) == (2, before)
        assert done.output.endswith(f"{name} is one of the files that this plan is made from: name another for the plan\n")


@pytest.mark.usefixtures("store")
def test_json_tells_the_scale_that_is_used_and_the_one_that_was_typed() -> None:
    def scales(*options: str) -> tuple[str | None, str | None]:
        plan = json.loads(run("plan", *options, "--format", "json").output)
        return plan["scale"], plan["asked_scale"]

    assert scales("quickstart") == ("digits", None)
    assert scales("quickstart", "--scale", "cifar10") == ("cifar10", "cifar10")
    assert scales("table1", "--scale", "paper") == (None, "paper")


@pytest.mark.usefixtures("store")
def test_a_graph_is_not_written_as_json(tmp_path: Path) -> None:
    done = run("plan", "quickstart", "--format", "dot", "-o", str(tmp_path / "plan.dot"))
    assert (done.exit_code, done.output) == (2, "-o writes JSON; to keep the graph write `--format dot > FILE`\n")
    assert not (tmp_path / "plan.dot").exists()


def test_a_store_without_a_name_is_refused() -> None:
    done = run("status", "--store", "")
    assert (done.exit_code, done.output) == (2, "--store wants the name of a folder\n")
