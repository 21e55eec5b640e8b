"""Equal Steps of different specs are one run; a run folder's label is a pure function of the Step."""

from __future__ import annotations

from pathlib import Path

from simclr_spec.plan import compile, label
from tests.specs import renamed_quickstart


def test_a_second_spec_with_the_same_steps_adds_none(tmp_path: Path) -> None:
    alone, both = compile(["quickstart"]), compile(["quickstart", renamed_quickstart(tmp_path)])
    assert [step.id for step in both.steps] == [step.id for step in alone.steps]
    assert both.asked == 2 * alone.asked
    assert {step.stages for step in both.steps} > {("linear", "probe"), ("pretrain",)}


def test_the_label_follows_from_the_parameters_alone() -> None:
    for step in compile(["table1", "quickstart"], scale="digits").steps:
        assert step.label == label(step.params)
        assert step.id == f"{step.kind}/{step.label}-{step.fingerprint[:8]}"
