"""What a retry takes up, and what it leaves."""

from __future__ import annotations

from pathlib import Path

from simclr_spec.language.coordinates import parse
from simclr_spec.plan import compile
from simclr_spec.store import retry
from simclr_spec.store.history import record_plan
from simclr_spec.store.layout import Store
from tests.finished import FEW, fail, finish
from tests.typed import run


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


def test_retry_goes_on_with_the_part_that_ran(tmp_path: Path) -> None:
    selector = parse(["stage=pretrain,supervised", "width=1"])
    record_plan(Store(tmp_path), [FEW], None, [], selector)
    fail(Store(tmp_path), compile([FEW]).steps[0])
    forecast = retry.forecast_again(Store(tmp_path), [], None)
    assert {step.fingerprint for step in forecast.to_run} == {step.fingerprint for step in compile([FEW]).select(selector)}
    assert forecast.selector == selector
