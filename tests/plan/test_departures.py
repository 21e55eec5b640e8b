"""What departs from the paper is found once, whoever shows it."""

from __future__ import annotations

from pathlib import Path

from simclr_spec.plan import compile
from simclr_spec.plan.departures import assumptions, deviating, deviations
from simclr_spec.report import notes


def test_a_departure_names_every_stage_that_has_it_once() -> None:
    steps = compile(["quickstart"], sets=["pretrain.epochs=3", "temperature=0.5"]).steps
    found = {(one.name, one.setting.value): one.stages for one in deviations(steps)}
    assert found["epochs", 3] == ("pretrain",)
    everywhere = {stage for step in steps for stage in step.stages}
    assert {one.name for one in assumptions(steps) if {*one.stages} == everywhere} >= {"precision"}


def test_what_only_some_steps_of_a_stage_have_is_found(tmp_path: Path) -> None:
    """Steps share most of their Settings, and what is shared is looked at once."""
    scale = tmp_path / "some.toml"
    rule = "[[finetune.rules]]\nwhen = { label_fraction = 1.0, depth = 50 }\nset = { learning_rate = 0.7 }\n"
    scale.write_text(f'title = "Some"\n{rule}', encoding="utf-8")
    steps = compile(["table1"], scale=str(scale)).steps
    departing = {(name, one.value) for step in steps for name, one in step.origins.items() if one.is_deviation}
    assert ("learning_rate", 0.7) in departing
    assert {(one.name, one.setting.value) for one in deviations(steps)} == departing


def test_what_descends_from_a_step_that_departs_departs_too() -> None:
    """Another temperature of pretraining is no word of the Steps that start from it, and yet in what they learn."""
    plan = compile(["table1"], sets=["pretrain.temperature=0.2"])
    pretrained = plan.descendants(step.fingerprint for step in plan.steps if step.kind == "pretrain")
    assert deviating(plan.steps) == pretrained
    assert {step.kind for step in plan.steps if step.fingerprint not in pretrained} == {"supervised"}


def test_a_report_shows_what_a_plan_counts() -> None:
    steps = compile(["quickstart"]).steps
    fields = {one.name.removesuffix(".name") for one in deviations(steps)}
    assert {item.split(" ")[0] for item in notes.deviations(steps).items} == fields
    assert deviating(steps) == {step.fingerprint for step in steps}
