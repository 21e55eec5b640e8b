"""`run` twice trains nothing. A finished Step never runs again and never causes a parent to run.

Real runs: tests/cli/test_run.py (a second run), tests/store/test_staleness.py (other images).
"""

from __future__ import annotations

from simclr_spec.language.coordinates import parse
from simclr_spec.store.forecast import make_forecast
from simclr_spec.store.layout import Store
from simclr_spec.store.reasons import decisions_of, states_of
from tests.finished import FEW, fail, finish, finish_all


def test_what_is_done_does_not_run_again(store: Store) -> None:
    forecast = make_forecast([FEW], store=str(store.path))
    assert len(forecast.to_run) == len(forecast.plan.steps)
    finish_all(store, forecast.plan, 50.0)
    assert make_forecast([FEW], store=str(store.path)).to_run == []


def test_a_finished_step_brings_no_parent_to_run(store: Store) -> None:
    selector = parse(["stage=linear"])
    steps = make_forecast([FEW], selector, store=str(store.path)).selected
    for step in steps[1:]:
        finish(store, step, {"top1": 50.0})
    forecast = make_forecast([FEW], selector, store=str(store.path))
    assert {step.fingerprint for step in forecast.to_run} == {steps[0].fingerprint, *steps[0].needs.values()}
    finish(store, steps[0], {"top1": 50.0})
    assert make_forecast([FEW], selector, store=str(store.path)).to_run == []


def test_what_is_stale_is_shown_and_neither_runs_nor_lets_anything_start_from_it(store: Store) -> None:
    plan = make_forecast([FEW], store=str(store.path)).plan
    parent = plan.steps[0]
    finish(store, parent, {"loss": 1.0})
    child = next(step for step in plan.steps if parent.fingerprint in step.needs.values())
    fail(store, child)
    decisions = decisions_of(plan, store, states_of(plan, store, lambda states, _: {**states, parent.fingerprint: "stale"}))
    assert (decisions[parent.fingerprint].state, decisions[parent.fingerprint].runs) == ("stale", False)
    assert decisions[child.fingerprint].runs, "and `run` refuses it: tests/store/test_staleness.py"
