"""Fixtures of all tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from simclr_spec.store.layout import Store

if TYPE_CHECKING:
    from tests.trained import Trained

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is first imported: tests may run beside each other
os.environ.pop("COLUMNS", None)  # what runs tests beside each other sets it, and piped tables keep within it
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start what they put into the background with SIGINT ignored


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference numbers beside the checkout; tests that need its big arrays are skipped without it."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("needs the reference numbers in ../shared")
    return folder


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store of its own, which commands use that name no other."""
    monkeypatch.setenv("SIMCLR_SPEC_STORE", str(tmp_path / "runs"))
    return Store(tmp_path / "runs")


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the tiny spec of tests/runs.py: tiny.toml, runs/, and what it said."""
    from tests import runs

    folder = tmp_path_factory.mktemp("undisturbed")
    done = runs.run(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "said").write_text(done.stdout)
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Done Steps of every kind, of tests/trained.py: for reading only."""
    from tests.trained import train

    return train(tmp_path_factory.mktemp("trained") / "runs")
