"""What numbers were made from stands below every table, and what differs within it is flagged."""

from __future__ import annotations

from pathlib import Path

import pytest

from simclr_spec.core.files import read_json, write_json
from simclr_spec.plan import compile
from simclr_spec.report.table import make
from simclr_spec.store.layout import Store
from tests.finished import FEW, finish
from tests.reports import SMALL, everything, of, write

SUPERVISED = {"stage": "supervised", "width": 1, "label_fraction": 1.0}


def _items(name: str, store: Store) -> tuple[str, ...]:
    return next(note.items for note in make(name, store).notes if note.name == "Made from")


def test_runs_time_versions_machine_images_and_weights(tmp_path: Path, store: Store) -> None:
    """Of all Steps of the chain, not of the cells' alone."""
    plan = compile([FEW])
    tuned = of(plan, stage="finetune", width=1, label_fraction=1.0)[0]
    for step in (tuned, plan.by_fingerprint[tuned.needs["from"]]):
        finish(store, step, {"top1": 1})
    name = write(tmp_path, SMALL)
    made = "2 of 17 runs · 2 core-hours · 1a2b3c4 · python 3.11.7 · torch 2.11.0 · x86_64 (cpu) · data digits 407c42ab · "
    for form, text in everything(make(name, store)).items():
        for item in (made + "weights trained here").split(" · "):
            assert item in " ".join(text.replace("\\", "").split()), form


@pytest.mark.parametrize(
    ("other", "flag"),
    [
        ({"torch": "2.12.0"}, "MIXED torch: 2.11.0, 2.12.0"),
        ({"python": "3.12.1"}, "MIXED python: 3.11.7, 3.12.1"),
        ({"code": "5e6f7a8b+"}, "MIXED code: 1a2b3c4, 5e6f7a8b+"),
        ({"device": "aarch64"}, "MIXED device: aarch64 (cpu), x86_64 (cpu)"),
        ({"accelerator": "mps"}, "MIXED device: x86_64 (cpu), x86_64 (mps)"),
    ],
)
def test_what_differs_is_flagged(other: dict[str, str], flag: str, tmp_path: Path, store: Store) -> None:
    first, second = of(compile([FEW]), **SUPERVISED)[:2]
    finish(store, first, {"top1": 1})
    name = write(tmp_path, SMALL)
    assert not any("MIXED" in item for item in _items(name, store))
    finish(store, second, {"top1": 1}, **other)
    assert [item for item in _items(name, store) if "MIXED" in item] == [flag]


def test_time_on_gpus_and_on_cpus_is_told_apart(tmp_path: Path, store: Store) -> None:
    first, second, *_ = of(compile([FEW]), **SUPERVISED)
    finish(store, first, {"top1": 1}, accelerator="cuda", device="NVIDIA H200", threads=16, world_size=8)
    finish(store, second, {"top1": 1}, threads=2)
    assert {"4 GPU-hours", "1 core-hours", "MIXED device: NVIDIA H200 (cuda), x86_64 (cpu)"} <= set(
        _items(write(tmp_path, SMALL), store)
    )


def test_images_that_were_seen_are_told_where_none_are_declared(store: Store) -> None:
    first, second, third = of(compile(["table1"]), kind="supervised")[:3]
    for step, digest in ((first, "1a2b3c4d" * 8), (second, "1a2b3c4d" * 8), (third, "5e6f7a8b" * 8)):
        folder = finish(store, step, {"top1": 1})
        result = read_json(folder.result)
        assert result is not None
        folder.result.unlink()
        write_json(folder.result, result | {"data_digest": digest})
        expected = "MIXED data imagenet: 1a2b3c4d, 5e6f7a8b" if step is third else "data imagenet 1a2b3c4d"
        assert expected in _items("table1", store)


def test_of_images_that_nobody_looked_at_nothing_is_said(store: Store) -> None:
    finish(store, of(compile(["table1"]), kind="supervised")[0], {"top1": 1})
    assert not any("data" in item for item in _items("table1", store))
