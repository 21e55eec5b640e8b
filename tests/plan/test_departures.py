"""What departs from the paper is found once, whoever shows it."""

from __future__ import annotations

from simclr_spec.plan import compile
from simclr_spec.plan.departures import assumptions, deviating, deviations
from simclr_spec.report import notes


def test_a_departure_names_every_stage_that_has_it_once() -> None:
    steps = compile(["quickstart"], sets=["pretrain.epochs=3", "temperature=0.5"]).steps
    found = {(one.name, one.setting.value): one.stages for one in deviations(steps)}
    assert found["epochs", 3] == ("pretrain",)
    everywhere = {stage for step in steps for stage in step.stages}
    assert {one.name for one in assumptions(steps) if {*one.stages} == everywhere} >= {"precision"}


def test_a_value_that_only_some_steps_replace_is_still_told_of_the_others() -> None:
    """Steps share most of their Settings; one that is their own in one Step is looked at in the next."""
    steps = compile(["table1"], scale="digits").steps
    told = {(one.name, one.setting.value) for one in deviations(steps)}
    departing = {(name, one.value) for step in steps for name, one in step.origins.items() if one.is_deviation}
    assert told == departing


def test_a_report_shows_what_a_plan_counts() -> None:
    steps = compile(["quickstart"]).steps
    fields = {one.name.removesuffix(".name") for one in deviations(steps)}
    assert {item.split(" ")[0] for item in notes.deviations(steps).items} == fields
    assert deviating(steps) == {step.fingerprint for step in steps}
