from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from simclr_spec.cli.main import main
from simclr_spec.core.errors import SimclrSpecError
from simclr_spec.language.coordinates import parse
from simclr_spec.plan import compile
from simclr_spec.store import garbage
from simclr_spec.store.history import all_plans, last_plan, record_plan, where
from simclr_spec.store.layout import Store
from tests.finished import FEW, finish_all
from tests.typed import run

ONE = """
title = "One training"
recipe = "simclrv2"
{scale}
encoders = [{{ depth = 50 }}]

[stages.supervised]
kind = "supervised"
"""


def test_the_plan_that_ran_last_is_remembered_for_every_spec_of_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    assert last_plan(store, "quickstart") is None
    record_plan(store, ["quickstart", "table1"], "digits", ["epochs=1"])
    record_plan(store, ["quickstart"], None, [])
    quickstart, table1 = last_plan(store, "quickstart"), last_plan(store, "table1")
    assert quickstart is not None
    assert table1 is not None
    assert (quickstart.specs, quickstart.scale, quickstart.sets) == (("quickstart",), None, ())
    assert (table1.specs, table1.scale, table1.sets) == (("quickstart", "table1"), "digits", ("epochs=1",))
    assert {plan.specs for plan in all_plans(store)} == {("quickstart",), ("quickstart", "table1")}


def test_a_declared_spec_and_a_file_of_the_same_name_are_two(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    record_plan(store, ["elsewhere/quickstart.toml"], None, ["epochs=1"])
    assert last_plan(store, "quickstart") is None
    assert last_plan(store, "quickstart.toml") is None, "a file of that name in another folder is a third"
    found = last_plan(store, "elsewhere/../elsewhere/quickstart.toml")
    assert found is not None
    assert found.sets == ("epochs=1",)


def test_recorded_plans_are_no_run_folders(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    record_plan(store, ["quickstart"], None, [])
    assert list(store.folders()) == []
    assert store.path.stat().st_mode & 0o077 == 0, "private to the user"


def test_specs_of_one_run_keep_each_its_own_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rehearsed.toml").write_text(ONE.format(scale='scale = "digits"'))
    Path("real.toml").write_text(ONE.format(scale=""))
    store, specs = Store(Path("runs")), ["rehearsed.toml", "real.toml"]
    plan = compile(specs)
    finish_all(store, plan, 50)
    Path("here.toml").write_text('kind = "local"\nmachine = "cpu"\n')  # else the scales name two
    done = CliRunner().invoke(main, ["run", *specs, "--runner", "here.toml"])
    assert done.exit_code == 0, done.output
    monkeypatch.chdir("/")
    assert garbage.waste_of(Store(tmp_path / "runs")) == [], "gc would delete runs that the plan needs"
    (again,) = all_plans(Store(tmp_path / "runs"))
    assert compile(again.specs, scale=again.scale, sets=again.sets).digest == plan.digest


def test_a_line_that_a_crash_tore_stays_a_line_of_its_own(tmp_path: Path) -> None:
    store = Store(tmp_path)
    record_plan(store, ["table1"], None, [])
    file = tmp_path / ".plans" / "all.jsonl"
    file.write_bytes(file.read_bytes()[:-20])
    record_plan(store, ["quickstart"], None, [])
    torn, whole = file.read_text().splitlines()
    assert json.loads(whole)["specs"] == ["quickstart"]
    assert "table1" in torn


def test_paths_are_remembered_from_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sets = ["pretrain.dataset = 'my.toml'", "dataset=digits", "epochs=2"]
    record_plan(Store(Path("runs")), ["a/x.toml"], "../big.toml", sets)
    (plan,) = all_plans(Store(tmp_path / "runs"))
    assert plan.specs == (f"{tmp_path}/a/x.toml",)
    assert plan.scale == f"{tmp_path.parent}/big.toml"
    assert plan.sets == (f"pretrain.dataset={tmp_path}/my.toml", "dataset=digits", "epochs=2")


NO_PLAN = [b'{"specs": ["quick', b"[]", b'{"specs": []}', b"\xff\xfe\n"]


@pytest.mark.parametrize("torn", NO_PLAN)
def test_a_torn_line_is_named(tmp_path: Path, torn: bytes) -> None:
    store = Store(tmp_path)
    record_plan(store, ["quickstart"], None, [])
    file = tmp_path / ".plans" / "all.jsonl"
    file.write_bytes(file.read_bytes() + torn)
    with pytest.raises(SimclrSpecError) as caught:
        all_plans(store)
    assert str(caught.value) == f"{file}:2 is damaged: it holds no plan. Delete that line to go on"


@pytest.mark.parametrize("damaged", [*NO_PLAN, b"a selector of another version"])
def test_a_damaged_last_plan_is_named(store: Store, damaged: bytes) -> None:
    record_plan(store, [FEW], None, [], parse(["stage=pretrain"]))
    (file,) = store.last_plans()
    if damaged.startswith(b"a selector"):
        damaged = file.read_bytes().replace(b"ancestors", b"parents")
    file.write_bytes(damaged)
    assert run("plan", FEW).output == f"{file} is damaged: it holds no plan. Delete it, and run its spec\n"


def test_where_images_lay_is_remembered_from_the_root_and_old_lines_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / "runs")
    record_plan(store, ["quickstart"], None, [], None, ["data", "mine=../pictures", "~/x"])
    monkeypatch.chdir("/")
    wanted = [f"{tmp_path}/data", f"mine={tmp_path.parent}/pictures", str(Path.home() / "x")]
    usual = where(store, ["table1"])
    assert list(all_plans(store)[0].data_roots) == wanted
    assert where(store, ["quickstart"]) == where(store) == [*wanted, *usual]
    for file in (tmp_path / "runs" / ".plans").iterdir():
        value = json.loads(file.read_text())
        del value["data_roots"]
        file.write_text(json.dumps(value) + "\n")
    assert (all_plans(store)[0].data_roots, where(store, ["quickstart"])) == ((), usual)
