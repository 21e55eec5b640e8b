"""Training curves: what several attempts wrote is one curve."""

from __future__ import annotations

import json
from typing import Any

from simclr_spec.plan import compile
from simclr_spec.store.curves import curve, measures
from simclr_spec.store.layout import RunFolder, Store
from tests.finished import FEW, prepare


def _folder(store: Store) -> RunFolder:
    return prepare(store, compile([FEW]).steps[0])


def _attempt(folder: RunFolder, *lines: Any, torn: str = "") -> None:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    folder.new_attempt().metrics.write_text(text + torn)


def _line(step: int, loss: float | None) -> dict[str, Any]:
    return {"train_step": step, "train_steps": 100, "epoch": 0.5, "loss": loss, "images_per_second": 3.0, "time": 1.0}


def _losses(folder: RunFolder) -> list[tuple[float, float | None]]:
    return [(line["train_step"], line.get("loss")) for line in curve(folder)]


def test_an_attempt_that_went_on_takes_the_place_of_what_was_done_after_its_checkpoint(store: Store) -> None:
    folder = _folder(store)
    assert curve(folder) == []
    _attempt(folder, _line(0, None), _line(10, 5.0), _line(20, 4.0), torn='{"train_step": 30, "lo')
    _attempt(folder, _line(10, None), _line(15, 3.0))
    folder.new_attempt()
    assert _losses(folder) == [(0, None), (10, 5.0), (10, None), (15, 3.0)]


def test_what_came_after_the_attempt_that_made_the_result_is_not_its_curve(store: Store) -> None:
    folder = _folder(store)
    _attempt(folder, _line(0, None), _line(100, 1.0))
    winner = folder.attempts()[0]
    winner.weights.touch()
    assert folder.commit(winner, {"fingerprint": "a"})
    _attempt(folder, _line(0, None), _line(5, 9.0))
    assert _losses(folder) == [(0, None), (100, 1.0)]


def test_measures_are_what_was_measured_and_finite(store: Store) -> None:
    folder = _folder(store)
    _attempt(folder, {**_line(1, 2.0), "knn_top1": 50.0}, {**_line(2, float("nan")), "learning_rate": 0.1}, "no table")
    assert [measures(line) for line in curve(folder)] == [{"loss": 2.0, "knn_top1": 50.0}, {"learning_rate": 0.1}]
