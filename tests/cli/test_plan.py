"""`simclr-spec plan`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from simclr_spec.language import declared, runner
from simclr_spec.language.coordinates import parse
from simclr_spec.plan import compile
from simclr_spec.store.layout import Store
from tests.finished import FEW, finish, prepare
from tests.specs import spec
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
    document = (Path(__file__).parents[2] / "docs/plan-json.md").read_text()
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
    assert re.search(r"costs \d\d,\d{3} GPU-hours, more than the 100 of --max-gpu-hours; nothing started$", done.output.strip())


@pytest.mark.usefixtures("store")
def test_a_plan_is_written_with_its_digest(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    done = run("plan", "quickstart", "-o", str(file))
    digest = compile(["quickstart"]).digest
    assert done.output.strip() == f"{file}: {len(compile(['quickstart']).steps)} Steps, digest {digest}"
    assert json.loads(file.read_text())["digest"] == digest
    for expected in (digest, str(file)):
        assert run("run", "quickstart", "--dry-run", "--expect", expected).exit_code == 0
        other = run("run", "quickstart", "--dry-run", "--expect", expected, "seed=0")
        assert (other.exit_code, other.output.endswith(f", not {digest}: nothing started\n")) == (2, True)


@pytest.mark.parametrize("text", ["[1]", '{"digest": 1}', "title = 'a spec'", '{"format": 2, "digest": "0"}', None])
@pytest.mark.usefixtures("store")
def test_what_is_expected_is_a_digest_or_a_plan(text: str | None, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    told = f"--expect {file}: neither a digest nor a file; `simclr-spec plan SPEC -o FILE` writes one\n"
    if text is not None:
        file.write_text(text)
        told = f"--expect {file}: no plan; `simclr-spec plan SPEC -o FILE` writes one\n"
    done = run("run", "quickstart", "--expect", str(file))
    assert (done.exit_code, done.output) == (2, told)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["plan"], "name a spec: figure4, "),
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
def test_assumed_rates_are_told_with_their_source_until_steps_correct_them_and_bf16_with_its_price(store: Store) -> None:
    output = run("plan", "table1", "stage=finetune").output
    assert "\nfp32 is priced by assumption (NVIDIA's data sheet, H200 SXM: 67 TFLOP/s of FP32, " in output
    narrow = json.loads(run("plan", "table1", "stage=finetune", "--set", "precision=bf16", "--format", "json").output)
    assert f"\n--set precision=bf16, a deviation, costs {narrow['totals']['hours']:,.0f} GPU-hours\n" in output
    output = run("plan", "table1", "stage=finetune", "--set", "precision=bf16").output
    assert "by assumption" not in output
    assert "--set precision=bf16, a deviation" not in output
    assert "by assumption" in run("plan", "quickstart").output
    for step in {step.kind: step for step in compile(["quickstart"]).steps}.values():
        finish(store, step, {"top1": 1.0})
    assert "by assumption" not in run("plan", "quickstart").output


@pytest.mark.usefixtures("store")
def test_every_encoder_has_its_price_and_they_add_up() -> None:
    lines = run("plan", "table1").output.splitlines()
    begin = next(n for n, line in enumerate(lines) if line.split()[0] == "encoder")
    assert lines[begin].split() == ["encoder", "steps", "GPU-hours", "memory", "GPUs", "for", "a", "batch"]
    rows = {line[:14].strip(): line[14:].split() for line in lines[begin + 1 : begin + 14]}
    assert list(rows)[:3] == ["50 1×", "50 1× SK", "50 2×"]
    assert list(rows)[-1] == "152 3× SK"
    total = next(line.split() for line in lines if line.split()[0] == "total")
    assert sum(float(row[1].replace(",", "")) for row in rows.values()) == pytest.approx(
        float(total[5].replace(",", "")), abs=10
    )
    plan = json.loads(run("plan", "table1", "--format", "json").output)
    ours = [step["cost"] for step in plan["steps"] if step["coordinates"]["depth"] == 50 and step["coordinates"]["width"] == 1]
    assert rows["50 1× SK"][2:4] == [f"{max(cost['memory'] for cost in ours) / 1e9:.0f}", "GB"]
    assert rows["50 1× SK"][4] == f"1–{max(cost['machines'] for cost in ours)}"


@pytest.mark.usefixtures("store")
def test_one_encoder_has_no_rows_of_its_own_and_of_many_some_are_counted(tmp_path: Path) -> None:
    assert "encoder  " not in run("plan", "speedrun").output
    file = tmp_path / "many.toml"
    rows = f"{{ product = {{ depth = [18], width = {list(range(1, 31))} }} }}"
    file.write_text(
        f'title = "Many"\nrecipe = "simclrv2"\nscale = "digits"\nencoders = {rows}\n[stages.p]\nkind = "pretrain"\n'
    )
    lines = run("plan", str(file)).output.splitlines()
    assert [line.split()[:2] for line in lines if "×" in line and line.startswith("  18")] == [
        ["18", f"{n}×"] for n in range(1, 17)
    ]
    assert "  ... and 14 more (--format json shows all)" in lines


@pytest.mark.usefixtures("store")
def test_cores_share_their_memory_so_that_none_is_counted_for_a_batch() -> None:
    output = run("plan", "quickstart").output
    assert "for a batch" not in output
    assert "  encoder  steps  core-hours  memory\n" in output


def test_what_a_selection_needs_has_rows_of_its_own_and_the_total_is_what_will_run(store: Store) -> None:
    selected = ("stage=finetune", "depth=50", "width=1", "sk=false")
    lines = run("plan", "table1", *selected).output.splitlines()
    assert lines[0].startswith("Table 1 · 3 Steps · 1 encoder")
    rows = {line.split("  ")[1]: line.split()[-6:-1] for line in lines[2:5]}
    assert {name: row[:4] for name, row in rows.items()} == {
        "finetune": ["3", "–", "–", "3"],
        "needed: pretrain": ["1", "–", "1", "–"],
        "total": ["4", "–", "1", "3"],
    }
    assert lines[5].startswith(f"4 Steps will run: {rows['total'][4]} GPU-hours")
    finish(store, next(step for step in compile(["table1"]).steps if step.label == "r50-1x-imagenet-s0"), {"knn_top1": 1.0})
    after = run("plan", "table1", *selected).output
    assert "needed" not in after
    assert "\n3 Steps will run: " in after


@pytest.mark.parametrize("spec", ["table1", "quickstart"])
def test_the_steps_of_a_plan_are_listed_with_what_selects_them(spec: str, store: Store) -> None:
    plan = compile([spec])
    finish(store, plan.steps[0], {"top1": 1.0})
    head, *lines = run("plan", spec, "--steps").output.splitlines()
    assert head.split() == ["state", "GPU-hours" if spec == "table1" else "core-hours", "coordinates"]
    assert [line.split()[0] for line in lines] == ["done"] + ["new"] * (len(plan.steps) - 1)
    assert lines[0].split()[1] == "0"
    for step, line in zip(plan.steps, lines, strict=True):
        assert plan.select(parse(line.split()[2:])) == (step,)


@pytest.mark.parametrize("more", [("--format", "json"), ("--format", "dot"), ("-o", "plan.json")], ids=" ".join)
@pytest.mark.usefixtures("store")
def test_a_list_of_steps_is_asked_for_on_the_terminal_only(more: tuple[str, str]) -> None:
    done = run("plan", "quickstart", "--steps", *more)
    assert (done.exit_code, done.output) == (2, "--steps lists Steps on the terminal; JSON and dot have each of them anyway\n")
    assert not Path("plan.json").exists()


@pytest.mark.usefixtures("store")
def test_the_steps_of_a_selection_come_with_those_that_it_needs() -> None:
    lines = run("plan", "table1", "--steps", "stage=finetune", "depth=50", "sk=true").output.splitlines()[1:]
    assert [line.split()[2:] for line in lines[:3]] == [
        ["stage=pretrain", "depth=50", "width=1", "sk=true"],
        ["stage=pretrain", "depth=50", "width=2", "sk=true"],
        ["stage=finetune", "depth=50", "width=1", "sk=true", "label_fraction=0.01", "from_layer=1"],
    ]
    assert len(lines) == 8


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
    assert "sharing" not in run("plan", "quickstart", "seed=0", *tiny).output


@pytest.mark.usefixtures("store")
def test_a_plan_is_never_written_over_what_it_is_made_from(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(declared.read("spec", "quickstart").text.replace('"digits"', '"scale.toml"', 1))
    (tmp_path / "scale.toml").write_text(declared.read("scale", "digits").text)
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


def test_what_was_approved_for_some_steps_is_refused_for_all(store: Store, tmp_path: Path) -> None:
    file = str(tmp_path / "plan.json")
    assert run("plan", FEW, "stage=pretrain", "width=1", "-o", file).exit_code == 0
    digest = json.loads(Path(file).read_text())["digest"]
    refused = run("run", FEW, "--expect", digest, "--dry-run")
    assert refused.exit_code == 2
    assert refused.output.endswith(f", not {digest}: nothing started\n")
    assert run("run", FEW, "stage=pretrain", "width=1", "--expect", digest, "--dry-run").exit_code == 0
    assert run("plan", FEW, "-o", file).output.strip().endswith(f"digest {compile([FEW]).digest}")


@pytest.mark.parametrize("hours", ["nan", "-1"])
@pytest.mark.usefixtures("store")
def test_a_budget_is_a_number(hours: str) -> None:
    done = run("plan", FEW, f"--max-gpu-hours={hours}")
    assert (done.exit_code, done.output) == (2, f"--max-gpu-hours wants a number of hours, not {hours}\n")


@pytest.mark.usefixtures("store")
def test_a_file_whose_name_holds_an_equals_sign(tmp_path: Path) -> None:
    assert run("plan", spec(tmp_path, name="depth=18.toml")).output.startswith("t · 2 Steps")


@pytest.mark.usefixtures("store")
def test_the_hint_of_a_plan_repeats_its_options(tmp_path: Path) -> None:
    output = run("plan", "quickstart", "--scale", "digits", "--set", "epochs = 2").output
    assert output.rstrip().endswith("(simclr-spec explain quickstart --scale digits --set 'epochs = 2')")


def test_a_dry_run_reads_the_runner_and_misses_the_data(store: Store, tmp_path: Path) -> None:
    assert run("run", FEW, "--dry-run", "--runner", "locl").output == "no runner is named 'locl'; did you mean 'local'?\n"
    done = run("run", FEW, "--scale", "cifar10", "--dry-run", "--data-root", str(tmp_path))
    assert done.exit_code == 1
    assert "Few labels · " in done.output
    assert "data set 'cifar10' (folder cifar-10-batches-py) not found" in done.output
    assert not store.path.exists()


def test_costs_on_the_machine_of_a_runner_or_a_scale(store: Store, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(declared.read("machine", "h100").text.replace("NVIDIA H100", "Ours"))
    (tmp_path / "here.toml").write_text('kind = "local"\nmachine = "mine.toml"\n')
    assert runner.read(str(tmp_path / "here.toml")).machine == str(tmp_path / "mine.toml")
    assert "GPU-hours (Ours)" in run("plan", "table1", "--runner", str(tmp_path / "here.toml")).output
    assert "GPU-hours (NVIDIA H200)" in run("plan", "table1", "--runner", "local").output
    (tmp_path / "scale.toml").write_text('title = "s"\nmachine = "mine.toml"\n')
    assert "GPU-hours (Ours)" in run("plan", "table1", "--scale", str(tmp_path / "scale.toml")).output


def test_a_machine_that_does_not_exist_is_a_fault_with_its_place(tmp_path: Path) -> None:
    scale, place = tmp_path / "scale.toml", tmp_path / "runner.toml"
    scale.write_text('title = "s"\nmachine = "h20"\n')
    place.write_text('kind = "local"\nmachine = "none.toml"\n')
    assert run("check", "table1", "--scale", str(scale)).output.splitlines()[0] == (
        f"{scale}:2:11: no machine is named 'h20'; did you mean 'h200'?"
    )
    assert run("plan", "table1", "--runner", str(place)).output.splitlines()[0] == (
        f"{place}:2:11: cannot read the machine '{tmp_path}/none.toml': No such file or directory"
    )
