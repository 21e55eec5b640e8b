"""Why Steps run: one engine for plan and run, read from the store's files."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from pathlib import Path

from simclr_spec.core.files import write_json
from simclr_spec.plan import Plan, Step, compile
from simclr_spec.store.layout import Store
from simclr_spec.store.reasons import Decision, Folders, decisions_of
from simclr_spec.store.staleness import Images
from tests.finished import FEW, finish


def decided(plan: Plan, store: Store, selected: Iterable[Step] | None = None) -> dict[str, Decision]:
    """With all Steps selected, unless some are."""
    return decisions_of(Folders(plan, Images(store)), plan.steps if selected is None else selected)


def small() -> Plan:
    return compile([FEW])


def test_in_an_empty_store_everything_is_new_or_waits(tmp_path: Path) -> None:
    plan = small()
    decisions = decided(plan, Store(tmp_path))
    first, child = plan.steps[0], next(step for step in plan.steps if step.kind == "finetune")
    assert (decisions[first.fingerprint].state, decisions[first.fingerprint].why) == ("new", "new")
    assert decisions[child.fingerprint].why == f"{plan.by_fingerprint[child.needs['from']].id} will run"
    assert all(decision.runs for decision in decisions.values())


def test_a_done_step_never_runs_and_never_causes_a_parent_to_run(tmp_path: Path) -> None:
    plan, store = small(), Store(tmp_path)
    children = [step for step in plan.steps if step.kind == "linear_eval"]
    for step in children:
        finish(store, step, {})
    decisions = decided(plan, store, children)
    assert not any(decision.runs for decision in decisions.values())
    assert {decisions[step.fingerprint].state for step in children} == {"done"}


def test_a_selected_step_brings_what_it_needs(tmp_path: Path) -> None:
    plan = small()
    child = next(step for step in plan.steps if step.kind == "finetune")
    decisions = decided(plan, Store(tmp_path), [child])
    running = [step for step in plan.steps if decisions[step.fingerprint].runs]
    assert [step.fingerprint for step in running] == [child.needs["from"], child.fingerprint]
    assert decisions[child.needs["from"]].why == "new, needed by the selection"


def test_a_changed_value_is_named_with_old_new_origin_and_followers(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for step in small().steps:
        finish(store, step, {})
    plan = compile([FEW], sets=["pretrain.temperature=0.5"])
    decisions = decided(plan, store)
    first = plan.steps[0]
    followers = len(plan.descendants([first.fingerprint])) - 1
    assert (
        decisions[first.fingerprint].why == f"temperature 0.1 → 0.5 (--set pretrain.temperature=0.5); {followers} Steps follow"
    )
    supervised = [decisions[step.fingerprint] for step in plan.steps if step.kind == "supervised"]
    assert {decision.state for decision in supervised} == {"done"}


def test_a_changed_value_is_the_reason_even_of_a_step_whose_parent_will_run(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for step in small().steps:
        finish(store, step, {})
    plan = compile([FEW], sets=["epochs=7"])
    decisions = decided(plan, store)
    child = next(step for step in plan.steps if step.kind == "finetune")
    assert decisions[child.needs["from"]].runs
    assert re.fullmatch(r"epochs \d+ → 7 \(--set epochs=7\)(; \d+ Steps? follows?)?", decisions[child.fingerprint].why)


def test_of_many_changed_values_three_are_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for step in small().steps:
        finish(store, step, {})
    names = ("temperature", "momentum", "weight_decay", "trust_coefficient", "warmup")
    for count, more in ((3, ""), (4, " and 1 more"), (5, " and 2 more")):
        plan = compile([FEW], sets=[f"pretrain.{name}=0.77" for name in names[:count]])
        why, _, _ = decided(plan, store)[plan.steps[0].fingerprint].why.partition(";")
        assert (why.count("→"), why[why.rindex(")") + 1 :]) == (3, more)


def test_a_changed_head_is_told_though_it_is_a_coordinate(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for step in small().steps:
        finish(store, step, {})
    plan = compile([FEW], sets=["head.layers=2", "finetune.from_layer=0"])
    decisions = decided(plan, store)
    why = {step.kind: decisions[step.fingerprint].why for step in reversed(plan.steps)}
    assert why["pretrain"].startswith("head.layers 3 → 2 (--set head.layers=2); ")
    assert why["finetune"].startswith("head.layers 3 → 2 (--set head.layers=2), from_layer 1 → 0 (--set finetune.from_layer=0)")


def test_another_parent_than_before_is_told_when_nothing_else_changed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    before = compile([FEW], sets=["pretrain.temperature=0.5"])
    for step in before.steps:
        finish(store, step, {})
    plan = small()
    first = plan.steps[0]
    finish(store, first, {})
    decisions = decided(plan, store)
    child = next(step for step in plan.steps if step.needs.get("from") == first.fingerprint and step.kind == "linear_eval")
    old = before.steps[0].fingerprint
    assert decisions[child.fingerprint].why == f"its parent {old[:8]} → {first.fingerprint[:8]} ({first.id})"


def test_failed_and_interrupted_attempts_are_told(tmp_path: Path) -> None:
    plan, store = small(), Store(tmp_path)
    failed, stopped = plan.steps[0], plan.steps[1]
    for step, record in ((failed, {"state": "failed", "error": "NaN loss at train step 7"}), (stopped, {"state": "running"})):
        attempt = store.prepare(step.id, {}).new_attempt()
        write_json(attempt.record, record)
        attempt.metrics.write_text('{"train_step": 1200}\n')
    decisions = decided(plan, store)
    assert decisions[failed.fingerprint].why == "failed in attempt 1: NaN loss at train step 7"
    assert decisions[stopped.fingerprint].why == "interrupted in attempt 1 at train step 1,200"


def test_ten_thousand_finished_folders_are_scanned_in_two_seconds(tmp_path: Path) -> None:
    spec = tmp_path / "many.toml"
    spec.write_text(
        'title = "many"\nrecipe = "simclrv2"\nscale = "digits"\nencoders = [{ depth = 18 }]\n'
        f'seeds = {list(range(2000))}\n[stages.p]\nkind = "pretrain"\n[stages.l]\nkind = "linear_eval"\nfrom = "p"\n'
        "label_fraction = [0.1, 0.2, 0.5, 1.0]\n"
    )
    plan = compile([str(spec)])
    assert len(plan.steps) == 10_000
    for step in plan.steps:
        folder = tmp_path / "runs" / step.id
        folder.mkdir(parents=True)
        (folder / "result.json").touch()
    start = time.process_time()
    decisions = decided(plan, Store(tmp_path / "runs"))
    assert time.process_time() - start < 2
    assert not any(decision.runs for decision in decisions.values())
