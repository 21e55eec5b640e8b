"""No state is guessed: unknown is not finished. Editing a file cancels nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from simclr_spec.core.errors import SimclrSpecError
from simclr_spec.core.states import FINISHED, STATES
from simclr_spec.plan import compile
from simclr_spec.store.forecast import make_forecast
from simclr_spec.store.layout import Store
from simclr_spec.store.staleness import Images
from tests.finished import finish, prepare


def test_only_what_has_a_result_is_finished() -> None:
    assert set(STATES) > FINISHED == {"done", "stale"}


@pytest.mark.parametrize("written", ['{"state": "done"}', '{"state": "running"}', "{}"])
def test_whatever_an_attempt_says_of_itself_only_the_committed_result_counts(store: Store, written: str) -> None:
    step = compile(["quickstart"]).steps[0]
    folder = prepare(store, step)
    attempt = folder.new_attempt()
    attempt.record.write_text(written, encoding="utf-8")
    attempt.weights.touch()
    assert folder.state() not in FINISHED
    assert step.fingerprint in {one.fingerprint for one in make_forecast(["quickstart"], images=Images(store)).to_run}
    finish(store, step, {"loss": 1.0})
    assert folder.state() == "done"


def test_a_damaged_record_is_told_rather_than_read_as_anything(store: Store) -> None:
    folder = prepare(store, compile(["quickstart"]).steps[0])
    folder.new_attempt().record.write_text("{", encoding="utf-8")
    with pytest.raises(SimclrSpecError, match=r"record\.json is damaged"):
        folder.state()


def test_a_spec_that_is_edited_touches_no_run(store: Store, tmp_path: Path) -> None:
    plan = compile(["quickstart"])
    for step in plan.steps[:5]:
        finish(store, step, {"top1": 50.0})
    before = {path: path.stat().st_mtime_ns for path in store.path.rglob("*")}
    changed = make_forecast(["quickstart"], images=Images(store), sets=["epochs=3"])
    assert changed.to_run == [*changed.plan.steps]
    assert {path: path.stat().st_mtime_ns for path in store.path.rglob("*")} == before
    assert [folder.state() for folder in store.folders()] == ["done"] * 5
