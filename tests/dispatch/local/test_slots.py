"""Which slots a runner has on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from simclr_spec.core.errors import UsageError
from simclr_spec.dispatch.local.slots import slots
from simclr_spec.language.runner import Local


@pytest.mark.parametrize(
    ("visible", "runner", "expected"),
    [
        ("2,5", Local(), [2, 5]),
        ("GPU-8a1b, MIG-77", Local(), ["GPU-8a1b", "MIG-77"]),
        ("3,-1,4", Local(), [3]),
        ("2,5", Local(slots=1), [2]),
        ("2,5", Local(slots=(7,)), [7]),
        ("", Local(slots=3), [None, None, None]),
        ("", Local(threads=1000), [None]),
    ],
)
def test_slots(monkeypatch: pytest.MonkeyPatch, visible: str, runner: Local, expected: list[int | str | None]) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [slot.gpu for slot in slots(runner)] == expected


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("GPU 0: NVIDIA H100 (UUID: GPU-1)\nGPU 1: NVIDIA H100 (UUID: GPU-2)\n", [0, 1]),
        ("GPU 0: NVIDIA A100 (UUID: GPU-1)\n  MIG 1g.5gb Device 0: (UUID: MIG-7)\n", ["MIG-7"]),
    ],
)
def test_gpus_are_those_of_the_driver_where_nothing_hides_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, table: str, expected: list[int | str]
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\nprintf '{table}'\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [slot.gpu for slot in slots(Local())] == expected


def test_more_slots_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    with pytest.raises(UsageError, match="3 slots, but 2 GPUs"):
        slots(Local(slots=3))


def test_listed_gpus_are_refused_where_there_are_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="this machine shows none"):
        slots(Local(slots=(0, 1)))
