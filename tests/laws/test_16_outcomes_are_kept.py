"""Per-image outcomes are kept with every evaluation; a comparison of two results is paired where both saw the same images.

The file itself: tests/store/test_outcomes.py; several ranks: tests/train/test_evaluate.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simclr_spec.core.files import read_json, write_json
from simclr_spec.data.registry import LOADERS
from simclr_spec.store.layout import RunFolder, Store
from simclr_spec.store.outcomes import paired, read
from simclr_spec.store.results import frame
from simclr_spec.train.data.datasets import as_tensors, evaluation_samples
from simclr_spec.train.loop.execute import execute
from tests import folders
from tests.steps import prepare

TESTED = 47


def trained(store: Store, kind: str, needs: dict[str, RunFolder] | None = None, **options: Any) -> RunFolder:
    folder = prepare(store, kind, needs, **{"train_steps": 3, "test_images": TESTED} | options)
    execute(folder.path)
    return folder


def is_kept(folder: RunFolder, tests: list[str]) -> None:
    """Images in the order of the test list; counted by a loop, what the result says of them."""
    result, found = read_json(folder.result), read(folder)
    assert list(found) == tests
    images = as_tensors(LOADERS["digits"].read(None))
    labels = images.test_labels[evaluation_samples(images.test_labels, TESTED)].tolist()
    assert result["test_list"]["images"] == TESTED
    for name, test in found.items():
        assert test.labels.tolist() == labels
        assert test.top5.shape == (TESTED, 5)
        for top in (1, 5):
            right = sum(label in row[:top] for row, label in zip(test.top5.tolist(), labels, strict=True))
            if (metric := f"{name}_top{top}".lstrip("_")) != "knn_top5":
                assert result["metrics"][metric] == 100 * right / TESTED


def test_every_kind_keeps_them_and_those_of_one_list_are_paired(store: Store) -> None:
    pretrain = trained(store, "pretrain", linear_head=True)
    tuned = trained(store, "finetune", {"from": pretrain}, labels__fraction=0.05)
    linear = trained(store, "linear_eval", {"from": pretrain})
    student = trained(store, "distill", {"teacher": tuned})
    alone = trained(store, "supervised", seed=3)
    is_kept(pretrain, ["knn", "linear"])
    for folder in (tuned, linear, student, alone):
        is_kept(folder, [""])
    assert all(paired(one, other) for one in (pretrain, tuned, alone) for other in (linear, student))
    fewer = trained(store, "supervised", test_images=TESTED - 1)
    assert not any(paired(fewer, folder) for folder in (pretrain, tuned, alone))
    lists = frame(store.folders())["test_list"]
    assert lists.nunique() == 2
    assert lists[read_json(tuned.step)["fingerprint"]] == read_json(alone.result)["test_list"]["digest"]


def test_photos_are_the_same_by_what_their_files_hold(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the data set declares its digest or not."""
    monkeypatch.setenv("SIMCLR_SPEC_DATA", str(tmp_path / "here"))
    mine = {f"dataset__{key}": value for key, value in vars(folders.declared()).items()} | {"batch": 4, "labels__fraction": 0.5}
    place = folders.pets(tmp_path / "here" / "pets")
    seen = trained(store, "supervised", **mine)
    declared = trained(store, "supervised", **mine | {"dataset__digest": read_json(seen.result)["data_digest"]})
    assert paired(seen, declared)
    assert [test.top5.shape for test in read(seen).values()] == [(6, 3)]
    folders.picture(place / "val" / "cow" / "1.png")
    other = trained(store, "supervised", **mine, seed=1)
    assert not paired(seen, other)


def test_a_result_of_before_is_read_as_it_is(store: Store) -> None:
    now, before = trained(store, "supervised"), trained(store, "supervised", seed=1)
    result = read_json(before.result)
    assert before.outcomes is not None
    before.outcomes.unlink()
    write_json(before.result, {key: value for key, value in result.items() if key not in ("outcomes", "test_list")})
    assert read(before) == {}
    assert RunFolder(before.path).outcomes is None
    assert not paired(now, before)
    rows = frame(store.folders()).loc[[result["fingerprint"]]]
    assert rows["top1"].tolist() == [result["metrics"]["top1"]]
    assert rows["test_list"].isna().all()
