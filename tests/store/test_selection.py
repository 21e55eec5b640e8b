"""What is selected, priced and approved on the command line is what runs."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from simclr_spec.cli.main import main
from simclr_spec.core.errors import SpecError
from simclr_spec.language import declared, runner
from simclr_spec.language.coordinates import parse
from simclr_spec.plan import compile
from simclr_spec.store import retry
from simclr_spec.store.forecast import make_forecast
from simclr_spec.store.history import record_plan
from simclr_spec.store.layout import RunFolder, Store
from simclr_spec.store.staleness import Images
from tests.finished import FEW, fail, finish
from tests.typed import run

CHAIN = """
title = "t"
recipe = "simclrv2"
scale = "digits"
encoders = [{ depth = 18 }]

[stages.pretrain]
kind = "pretrain"

[stages.finetune]
kind = "finetune"
from = "pretrain"
label_fraction = 1.0
"""


def spec(folder: Path, text: str = CHAIN, name: str = "x.toml") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def test_what_was_approved_for_some_steps_is_refused_for_all(store: Store, tmp_path: Path) -> None:
    file = str(tmp_path / "plan.json")
    assert run("plan", FEW, "stage=pretrain", "width=1", "-o", file).exit_code == 0
    digest = json.loads(Path(file).read_text())["digest"]
    refused = run("run", FEW, "--expect", digest, "--dry-run")
    assert refused.exit_code == 2
    assert refused.output.endswith(f", not {digest}: nothing started\n")
    assert run("run", FEW, "stage=pretrain", "width=1", "--expect", digest, "--dry-run").exit_code == 0
    assert run("plan", FEW, "-o", file).output.strip().endswith(f"digest {compile([FEW]).digest}")


def test_an_approval_holds_while_its_steps_become_done(tmp_path: Path) -> None:
    before = make_forecast([FEW], images=Images(Store(tmp_path)))
    finish(Store(tmp_path), before.plan.steps[0], {"top1": 1.0})
    assert make_forecast([FEW], images=Images(Store(tmp_path))).digest == before.digest


@pytest.mark.parametrize("hours", ["nan", "-1"])
@pytest.mark.usefixtures("store")
def test_a_budget_is_a_number(hours: str) -> None:
    done = run("plan", FEW, f"--max-gpu-hours={hours}")
    assert (done.exit_code, done.output) == (2, f"--max-gpu-hours wants a number of hours, not {hours}\n")


@pytest.mark.usefixtures("store")
def test_a_misspelt_value_of_a_selector(tmp_path: Path) -> None:
    assert run("plan", FEW, "stage=finetun").output == "no Step of this plan has stage=finetun; did you mean 'finetune'?\n"
    assert run("status", FEW, "stage=finetun").output.endswith("; did you mean 'finetune'?\n")


@pytest.mark.usefixtures("store")
def test_a_report_shows_the_cells_that_are_asked_for() -> None:
    whole = json.loads(run("report", "quickstart", "--format", "json").output)
    some = json.loads(run("report", "quickstart", "kind=supervised", "labels_per_class=1", "--format", "json").output)
    assert len(whole["rows"]) == 8
    assert some["rows"] == whole["rows"][:2]
    assert run("report", "quickstart", "kind=pretrain").output == "no cell of this report shows a Step with kind=pretrain\n"
    assert "Deviations" in run("report", "quickstart", "kind=supervised").output


@pytest.mark.usefixtures("store")
def test_a_file_whose_name_holds_an_equals_sign(tmp_path: Path) -> None:
    assert run("plan", spec(tmp_path, name="depth=18.toml")).output.startswith("t · 2 Steps")


def test_a_set_may_concern_one_spec_of_several(tmp_path: Path) -> None:
    plan = compile([FEW, spec(tmp_path)], sets=["distill.epochs=2", "linear.epochs=3"])
    assert {step.params["epochs"] for step in plan.steps if step.kind == "distill"} == {2.0}
    assert {step.params["epochs"] for step in plan.steps if step.stage == "linear"} == {3.0}
    with pytest.raises(SpecError, match=r"^--set distill.epochs=2: no stage here is a distill$"):
        compile([spec(tmp_path)], sets=["distill.epochs=2"])


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


def test_a_watch_goes_on_between_two_steps(tmp_path: Path) -> None:
    found: list[Result] = []
    with RunFolder(tmp_path / ".jobs" / "a run").leased():
        watch = threading.Thread(
            target=lambda: found.append(run("status", "--watch", "state=running", "--store", str(tmp_path)))
        )
        watch.start()
        time.sleep(4.0)
        assert watch.is_alive()
    watch.join(timeout=20.0)
    assert found[0].exit_code == 0
    assert found[0].output.count("stage  steps") >= 2


@pytest.mark.parametrize("command", ["status", "logs", "cancel"])
@pytest.mark.parametrize("option", [("--scale", "digits"), ("--set", "nope=2")])
@pytest.mark.usefixtures("store")
def test_options_of_a_plan_need_a_spec(command: str, option: tuple[str, str]) -> None:
    done = run(command, "stage=pretrain", *option)
    told = "--scale and --set change what a spec plans: name the spec, as in quickstart --scale digits\n"
    assert (done.exit_code, done.output) == (2, told)


def test_retry_says_that_nothing_was_run(store: Store) -> None:
    for names, of in (((), ""), (("quickstart", "table1"), "of quickstart table1 ")):
        done = run("retry", *names)
        assert (done.exit_code, done.output) == (2, f"no plan {of}was run in {store.path}; simclr-spec run begins one\n")


def test_retry_says_that_nothing_failed(store: Store) -> None:
    record_plan(store, [FEW], None, [])
    done = run("retry")
    assert (done.exit_code, done.output) == (2, f"nothing failed or was interrupted in the plan that ran last: {FEW}\n")
    done = run("retry", "stage=pretrain", "width=2")
    told = f"nothing of stage=pretrain width=2 failed or was interrupted in the plan that ran last: {FEW}\n"
    assert (done.exit_code, done.output) == (2, told)


def test_retry_begins_nothing_that_never_ran_but_for_what_waits(store: Store) -> None:
    steps = compile([FEW]).steps
    pretrain, tuned, alone = (
        next(s for s in steps if s.stage == stage and s.coordinates["width"] == 1)
        for stage in ("pretrain", "finetune", "supervised")
    )
    record_plan(store, [FEW], None, [])
    finish(store, pretrain, {"loss": 1.0})
    for step in (tuned, alone):
        fail(store, step)
    again = retry.forecast_again(store, [], parse(["width=1", "stage=finetune,supervised"]))
    assert {step.fingerprint for step in again.to_run} == {tuned.fingerprint, alone.fingerprint}
    fail(store, other := next(s for s in steps if s.stage == "pretrain" and s.coordinates["width"] == 2))
    again = retry.forecast_again(store, [], parse(["width=2"]))
    assert {step.fingerprint for step in again.to_run} == again.plan.descendants([other.fingerprint])
    record_plan(store, [FEW], None, [], parse(["stage=pretrain"]))
    again = retry.forecast_again(store, [], parse(["width=2"]))
    assert [step.fingerprint for step in again.to_run] == [other.fingerprint]


def test_cancel_tells_what_it_stops_and_marks_nothing_else(store: Store) -> None:
    failed, running = (fail(store, step) for step in compile([FEW]).steps[:2])
    failed.lease.unlink()
    nothing = "Nothing to stop: none of these Steps runs"
    assert run("cancel", FEW).output == f"{nothing}.\n"
    assert not failed.cancelled_since(0.0)
    with RunFolder(store.path / ".jobs" / "a run").leased():
        assert run("cancel", FEW, "stage=distill").output == f"{nothing}, and none waits in the run under way.\n"
        assert run("cancel", "state=failed").output.splitlines()[0].endswith(": will not begin in the run under way")
    assert failed.cancelled_since(0.0)
    with running.leased():
        running.new_attempt()
        assert run("cancel", "state=running").output.endswith(": asked to stop; its checkpoint stays\n")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("plan --scale di", "digits"),
        ("run --runner lo", "local"),
        ("plan --machine h1", "h100"),
        ("report ta", "table1"),
        ("plan ta", "table1"),
        ("status stag", "stage="),
        ("plan table1 +stag", "+stage="),
        ("check ta", "table1"),
        ("plan --scale pa", "paper"),
    ],
)
def test_completion(words: str, wanted: str) -> None:
    environment = {"_SIMCLR_SPEC_COMPLETE": "bash_complete", "COMP_WORDS": f"simclr-spec {words}"}
    environment["COMP_CWORD"] = str(len(words.split()))
    done = CliRunner().invoke(main, [], prog_name="simclr-spec", env=environment)
    offered = done.output.splitlines()
    assert offered[0] == f"file,{words.rsplit(maxsplit=1)[-1]}", (
        "the shell completes paths; after names, click's script for bash drops them"
    )
    assert f"plain,{wanted}" in offered


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
