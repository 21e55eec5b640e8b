"""Law 1: the fingerprint is everything in the Step and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simclr_spec.language import declared
from simclr_spec.plan import compile
from simclr_spec.plan.fingerprint import canonical, fingerprint
from tests.specs import renamed_quickstart


def test_canonical_json_sorts_and_spares_spaces() -> None:
    assert canonical({"b": [1, 2.5, None], "a": {"é": True}}) == '{"a":{"\\u00e9":true},"b":[1,2.5,null]}'


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"a": value})


def test_kind_parameters_and_parents_all_count() -> None:
    base = fingerprint("pretrain", {"epochs": 1.0}, {})
    assert base != fingerprint("finetune", {"epochs": 1.0}, {})
    assert base != fingerprint("pretrain", {"epochs": 2.0}, {})
    assert base != fingerprint("pretrain", {"epochs": 1.0}, {"from": base})
    assert len(base) == 64


@pytest.mark.parametrize("written", ["2", "2.0", "2e0", "0.2e1"])
def test_the_ways_to_write_a_float_agree(written: str) -> None:
    ours = [step.fingerprint for step in compile(["quickstart"], sets=[f"epochs={written}"]).steps]
    assert ours == [step.fingerprint for step in compile(["quickstart"], sets=["epochs=2.0"]).steps]


def test_toml_and_json_specs_give_the_same_steps(tmp_path: Path) -> None:
    import tomllib

    file = tmp_path / "quickstart.json"
    file.write_text(json.dumps(tomllib.loads(declared.read("spec", "quickstart").text)))
    ours, theirs = compile([str(file)]), compile(["quickstart"])
    assert ours.digest == theirs.digest
    assert [step.id for step in ours.steps] == [step.id for step in theirs.steps]


def test_titles_comments_and_names_of_stages_do_not_count(tmp_path: Path) -> None:
    assert compile([renamed_quickstart(tmp_path)]).digest == compile(["quickstart"]).digest


@pytest.mark.parametrize(
    "changed",
    ["epochs=3", "dataset.digest='00'", "precision='bf16'", "micro_batch=4", "encoder.base_width=4"],
)
def test_whatever_can_change_a_result_counts(changed: str) -> None:
    sets = ["batch=8", "labels.sampler='balanced'"]
    before = {step.fingerprint for step in compile(["quickstart"], sets=sets).steps}
    after = {step.fingerprint for step in compile(["quickstart"], sets=[*sets, changed]).steps}
    assert not before & after
