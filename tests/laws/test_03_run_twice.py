"""`run` twice trains nothing. A finished Step never runs again and never causes a parent to run.

Real runs: tests/cli/test_run.py (a second run), tests/store/test_staleness.py (other images).
"""

from __future__ import annotations

import pytest

from simclr_spec.core.errors import DataError
from simclr_spec.language.coordinates import parse
from simclr_spec.plan import compile
from simclr_spec.store.forecast import forecast_of, make_forecast
from simclr_spec.store.layout import Store
from simclr_spec.store.reasons import Folders
from simclr_spec.store.staleness import Images
from tests.finished import FEW, fail, finish, finish_all


def test_what_is_done_does_not_run_again(store: Store) -> None:
    forecast = make_forecast([FEW], images=Images(store))
    assert len(forecast.to_run) == len(forecast.plan.steps)
    finish_all(store, forecast.plan, 50.0)
    assert make_forecast([FEW], images=Images(store)).to_run == []


def test_a_finished_step_brings_no_parent_to_run(store: Store) -> None:
    selector = parse(["stage=linear"])
    steps = make_forecast([FEW], selector, images=Images(store)).selected
    for step in steps[1:]:
        finish(store, step, {"top1": 50.0})
    forecast = make_forecast([FEW], selector, images=Images(store))
    assert {step.fingerprint for step in forecast.to_run} == {steps[0].fingerprint, *steps[0].needs.values()}
    finish(store, steps[0], {"top1": 50.0})
    assert make_forecast([FEW], selector, images=Images(store)).to_run == []


def test_what_is_stale_is_shown_and_neither_runs_nor_lets_anything_start_from_it(store: Store) -> None:
    plan = compile([FEW])
    parent = plan.steps[0]
    finish(store, parent, {"loss": 1.0})
    child = next(step for step in plan.steps if parent.fingerprint in step.needs.values())
    fail(store, child)
    folders = Folders(plan, Images(store))
    folders.states[parent.fingerprint] = "stale"
    forecast = forecast_of(folders, None, (child,), None)
    assert (forecast.stale, forecast.to_run) == ([parent], [child])
    with pytest.raises(DataError, match=rf"^{child.id} starts from {parent.id}, which is stale: .* Nothing started; "):
        forecast.refuse_stale()
