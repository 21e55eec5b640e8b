from __future__ import annotations

from pathlib import Path

import pytest

from simclr_spec.core.errors import SimclrSpecError, UsageError
from simclr_spec.core.files import read_json
from simclr_spec.plan import compile
from simclr_spec.stages.kinds import KINDS
from simclr_spec.store.layout import RunFolder, Store
from simclr_spec.store.results import frame, results
from tests.finished import fail, finish, prepare


def test_one_row_per_finished_step_with_coordinates_metrics_and_provenance(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    pretrain, tuned, other = (next(s for s in compile(["quickstart"]).steps if s.stage == name) for name in _STAGES)
    finish(store, pretrain, {"loss": 2.5, "knn_top1": 80.0})
    finish(store, tuned, {"top1": 61.25, "top5": 90.0})
    fail(store, other)
    table = frame(store.folders())
    assert set(table.index) == {pretrain.fingerprint, tuned.fingerprint}
    row = table.loc[tuned.fingerprint]
    assert row["top1"] == 61.25
    assert (row["stage"], row["depth"], row["seed"]) == ("finetune", 18, tuned.coordinates["seed"])
    assert (row["torch"], row["code"], row["seconds"]) == ("2.11.0", "1a2b3c4", 1800.0)
    assert table["top1"].isna()[pretrain.fingerprint], "a metric that a Step does not have is missing, not zero"
    assert table.groupby("stage")["top1"].mean()["finetune"] == 61.25


def test_reports_know_what_every_kind_measures(undisturbed: Path) -> None:
    folders = [RunFolder(path.parent) for path in (undisturbed / "runs").glob("*/*/result.json")]
    found = {read_json(folder.step)["kind"]: set(read_json(folder.result)["metrics"]) for folder in folders}
    assert found == {name: set(kind.metrics) for name, kind in KINDS.items() if kind.trains}


_STAGES = ("pretrain", "finetune", "supervised")


@pytest.mark.parametrize("touched", [False, True])
def test_a_store_without_finished_steps_gives_an_empty_frame(tmp_path: Path, touched: bool) -> None:
    store = Store(tmp_path / "runs")
    if touched:
        prepare(store, compile(["quickstart"]).steps[0])
    table = frame(store.folders())
    assert len(table) == 0
    assert table.index.name == "fingerprint"


def test_a_metric_that_is_no_number_is_damage(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    folder = finish(store, compile(["quickstart"]).steps[0], {"loss": 1.0})
    folder.result.write_text(folder.result.read_text().replace("1.0", '"abc"', 1))
    with pytest.raises(SimclrSpecError, match=r"result\.json is damaged: not all of its metrics are numbers"):
        frame(store.folders())


def test_no_store_is_no_empty_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for missing in ("nowhere", "file"):
        with pytest.raises(UsageError, match=f"there is no store at {tmp_path / missing}"):
            results(tmp_path / missing)
    assert len(results(tmp_path)) == 0
