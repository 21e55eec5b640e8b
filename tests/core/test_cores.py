"""Cores that a process may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from simclr_spec.core import cores


def test_affinity_and_the_containers_quota_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(cores, "CGROUP", quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert cores.cores() == 3
    for text, count in (("max 100000\n", 3), ("200000 100000\n", 2), ("10000 100000\n", 1), ("900000 100000\n", 3)):
        quota.write_text(text)
        assert cores.cores() == count
