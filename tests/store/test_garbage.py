"""What gc deletes, and what it must not."""

from __future__ import annotations

import os
from pathlib import Path

from simclr_spec.plan import compile
from simclr_spec.store import garbage
from simclr_spec.store.arrays import Queued
from simclr_spec.store.history import record_plan
from simclr_spec.store.layout import Store
from tests.finished import FEW, finish, plant, prepare
from tests.specs import spec
from tests.typed import run


def test_gc_names_the_line_of_a_spec_that_is_gone(store: Store, tmp_path: Path) -> None:
    record_plan(store, [FEW], None, [])
    gone = spec(tmp_path)
    record_plan(store, [gone], None, [])
    Path(gone).unlink()
    done = run("gc")
    assert done.exit_code == 2
    assert done.output.endswith(
        f"cannot read the spec '{gone}': No such file or directory. "
        f"Bring it back; or, if its runs may go, delete line 2 of {store.path}/.plans/all.jsonl\n"
    )
    record = store.path / ".plans" / "all.jsonl"
    record.write_text(record.read_text().splitlines()[0] + "\n")
    assert run("gc").output == "Nothing to delete: a spec needs every run folder.\n"


def test_gc_leaves_what_a_process_works_on(tmp_path: Path) -> None:
    store, step = Store(tmp_path / "runs"), compile([spec(tmp_path)], sets=["epochs=1"]).steps[0]
    folder = prepare(store, step)
    with folder.leased():
        assert garbage.waste_of(store) == []
    assert [one.path for one in garbage.waste_of(store)] == [folder.path]


def test_gc_leaves_what_was_taken_up_since_it_looked(tmp_path: Path) -> None:
    store, plan = Store(tmp_path / "runs"), compile([spec(tmp_path)], sets=["epochs=1"])
    taken, free = (prepare(store, step) for step in plan.steps[:2])
    found = garbage.waste_of(store)
    assert len(found) == 2
    with taken.leased():
        assert [one.folder for one in garbage.delete(found)] == [free]
    assert (taken.step.exists(), free.path.exists()) == (True, False)


def test_gc_deletes_a_link_and_not_what_it_points_to(tmp_path: Path) -> None:
    store, step = Store(tmp_path / "runs"), compile([spec(tmp_path)], sets=["epochs=1"]).steps[0]
    folder = finish(store, step, {"loss": 1.0}).path
    elsewhere = tmp_path / "elsewhere"
    os.rename(folder, elsewhere)
    folder.symlink_to(elsewhere)
    found = garbage.waste_of(store)
    assert [(one.path, one.size) for one in found] == [(folder, 0)]
    garbage.delete(found)
    assert not folder.is_symlink()
    assert (elsewhere / "result.json").exists()


def test_gc_keeps_what_a_process_of_another_machine_may_work_on(tmp_path: Path) -> None:
    """However long ago it was last heard of: unknown is not finished."""
    store, step = Store(tmp_path / "runs"), compile([spec(tmp_path)], sets=["epochs=1"]).steps[0]
    plant(prepare(store, step), age=1e6)
    assert garbage.waste_of(store) == []


def test_gc_keeps_the_steps_of_declared_specs_and_of_recorded_plans(store: Store, tmp_path: Path) -> None:
    declared = compile(["quickstart"]).steps[0]
    recorded, forgotten = (compile([spec(tmp_path)], sets=[f"epochs={epochs}"]).steps[0] for epochs in (1, 2))
    record_plan(store, [str(tmp_path / "x.toml")], None, ["epochs=1"])
    for step in (declared, recorded, forgotten):
        finish(store, step, {"loss": 1.0})
    (only,) = garbage.waste_of(store)
    assert only.path == store.folder(forgotten.id).path
    assert only.why == "in no spec as it stands now"


def test_gc_deletes_the_attempts_that_did_not_win(store: Store, tmp_path: Path) -> None:
    step = compile([spec(tmp_path)], sets=["epochs=1"]).steps[0]
    record_plan(store, [str(tmp_path / "x.toml")], None, ["epochs=1"])
    lost = prepare(store, step).new_attempt()
    lost.log.write_text("12345")
    assert garbage.waste_of(store) == []
    folder = finish(store, step, {"loss": 1.0})
    (only,) = found = garbage.waste_of(store)
    assert (only.path, only.why, only.size) == (lost.path, "did not win", 5)
    garbage.delete(found)
    assert folder.done
    assert [attempt.weights.exists() for attempt in folder.attempts()] == [True]


def test_gc_keeps_the_outcomes_of_the_attempt_that_won(store: Store, tmp_path: Path) -> None:
    step = compile([spec(tmp_path)], sets=["epochs=1"]).steps[0]
    record_plan(store, [str(tmp_path / "x.toml")], None, ["epochs=1"])
    folder = prepare(store, step)
    first, second = folder.new_attempt(), folder.new_attempt()
    for attempt in (second, first):
        attempt.outcomes.write_bytes(b"12")
        folder.commit(attempt, {})
    garbage.delete(garbage.waste_of(store))
    assert folder.attempts() == [second]
    assert folder.outcomes == second.outcomes
    assert second.outcomes.exists()


def test_gc_leaves_what_is_queued_and_deletes_arrays_whose_jobs_have_ended(tmp_path: Path) -> None:
    store, step = Store(tmp_path / "runs"), compile([spec(tmp_path)], sets=["epochs=1"]).steps[0]
    folder = prepare(store, step)
    arrays = {name: store.array(name) for name in ("open", "closed", "asked_for")}
    for array in arrays.values():
        array.path.mkdir(parents=True)
        array.intent.write_text("{}")
    for name in ("closed", "asked_for"):
        arrays[name].closed.touch()
    folder.queue(Queued(job="1_0", array="asked_for", index=0, after_attempt=0))
    assert [one.path for one in garbage.waste_of(store)] == [arrays["closed"].path]
    garbage.delete(garbage.waste_of(store))
    assert [array.path.exists() for array in arrays.values()] == [True, False, True]
