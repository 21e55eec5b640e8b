"""A plan held against a store: what it costs, corrected by what is done, and what was approved of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from simclr_spec.core.errors import SpecError, UsageError
from simclr_spec.language.runner import Local
from simclr_spec.plan import compile
from simclr_spec.stages.kinds import KINDS
from simclr_spec.store.forecast import make_forecast
from simclr_spec.store.layout import Store
from simclr_spec.store.staleness import Images
from tests.finished import FEW, finish


def test_each_step_is_priced_in_its_own_precision_and_the_budget_compares_that(tmp_path: Path) -> None:
    def seconds(*sets: str) -> dict[str, float]:
        forecast = make_forecast(["table1"], images=Images(Store(tmp_path)), sets=sets)
        return {kind: sum(forecast.seconds[s.fingerprint] for s in forecast.plan.steps if s.kind == kind) for kind in KINDS}

    wide, narrow, mixed = seconds(), seconds("precision=bf16"), seconds("pretrain.precision=bf16")
    assert {kind: mixed[kind] for kind in mixed if kind != "pretrain"} == {
        kind: wide[kind] for kind in wide if kind != "pretrain"
    }
    assert mixed["pretrain"] == narrow["pretrain"] < wide["pretrain"] / 5
    allowed = make_forecast(["table1"], images=Images(Store(tmp_path)), sets=["precision=bf16"])
    hours = allowed.hours(allowed.to_run)
    assert hours == pytest.approx(sum(narrow.values()) / 3600)
    make_forecast(["table1"], images=Images(Store(tmp_path)), sets=["precision=bf16"], max_hours=hours)
    with pytest.raises(UsageError, match=r"more than the .* of --max-gpu-hours; nothing started"):
        make_forecast(["table1"], images=Images(Store(tmp_path)), max_hours=hours)


def test_costs_are_corrected_by_steps_that_ran_on_such_a_machine_only(tmp_path: Path) -> None:
    """`finish` takes half an hour on two threads of a CPU."""
    store, pretraining = Store(tmp_path), [step for step in compile([FEW]).steps if step.kind == "pretrain"]

    def seconds(machine: str) -> float:
        forecast = make_forecast([FEW], images=Images(Store(tmp_path)), machine=machine)
        return forecast.seconds[pretraining[0].fingerprint]

    told = {machine: seconds(machine) for machine in ("cpu", "h100", "h200")}
    finish(store, pretraining[0], {"top1": 1.0})
    assert seconds("cpu") == pytest.approx(2 * 1800)
    assert (seconds("h100"), seconds("h200")) == (told["h100"], told["h200"])
    finish(store, pretraining[1], {"top1": 1.0}, accelerator="cuda", device="NVIDIA H100 80GB HBM3", world_size=8)
    forecast = make_forecast([FEW], images=Images(Store(tmp_path)), machine="h100")
    assert forecast.seconds[pretraining[1].fingerprint] == pytest.approx(8 * 1800)
    assert seconds("cpu") == pytest.approx(2 * 1800)
    assert seconds("h200") == told["h200"]


def test_a_step_that_computed_activations_again_corrects_both_prices(tmp_path: Path) -> None:
    """It is held against the price of what it did, whatever the runner of today does."""
    pretraining = next(step for step in compile([FEW]).steps if step.kind == "pretrain")

    def seconds(recompute: bool) -> float:
        forecast = make_forecast([FEW], images=Images(Store(tmp_path)), machine="cpu", runner=Local(recompute=recompute))
        return forecast.seconds[pretraining.fingerprint]

    before = {recompute: seconds(recompute) for recompute in (False, True)}
    assert 1.1 * before[False] < before[True] < 4 / 3 * before[False]
    finish(Store(tmp_path), pretraining, {"top1": 1.0}, recompute=True)
    assert seconds(True) == pytest.approx(2 * 1800)
    assert seconds(False) == pytest.approx(2 * 1800 * before[False] / before[True])


def test_costs_are_corrected_by_other_finished_steps_of_the_store_where_the_plan_has_none(tmp_path: Path) -> None:
    before = make_forecast([FEW], images=Images(Store(tmp_path)), machine="cpu")
    changed = compile([FEW], sets=["pretrain.temperature=0.3", "distill.temperature=2"])
    for step in changed.steps:
        if step.kind in ("pretrain", "distill"):
            finish(Store(tmp_path), step, {"top1": 1.0})
    after = make_forecast([FEW], images=Images(Store(tmp_path)), machine="cpu")
    for step in before.plan.steps:
        ratio = after.seconds[step.fingerprint] / before.seconds[step.fingerprint]
        assert (ratio > 50) == (step.kind == "pretrain")


def test_steps_in_another_precision_correct_nothing(tmp_path: Path) -> None:
    other = next(step for step in compile([FEW], sets=["precision=bf16"]).steps if step.kind == "pretrain")

    def seconds(*sets: str) -> float:
        forecast = make_forecast([FEW], images=Images(Store(tmp_path)), machine="cpu", sets=sets)
        return next(forecast.seconds[step.fingerprint] for step in forecast.plan.steps if step.kind == "pretrain")

    told = seconds()
    finish(Store(tmp_path), other, {"top1": 1.0})
    assert seconds() == told
    assert seconds("precision=bf16") == pytest.approx(2 * 1800)
    assert seconds("precision=bf16", "temperature=0.2") == pytest.approx(2 * 1800)


@pytest.mark.parametrize("change", ["epochs=1e300", "encoder.sk_ratio=1e300", "epochs=1e308"])
def test_numbers_beyond_all_measure_are_faults(change: str) -> None:
    with pytest.raises(SpecError, match="must be at most"):
        make_forecast(["table1"], images=Images(Store(Path("runs"))), sets=[change])


def test_an_approval_holds_while_its_steps_become_done(tmp_path: Path) -> None:
    before = make_forecast([FEW], images=Images(Store(tmp_path)))
    finish(Store(tmp_path), before.plan.steps[0], {"top1": 1.0})
    assert make_forecast([FEW], images=Images(Store(tmp_path))).digest == before.digest
