"""A store that cannot be written to, mounted so or another's, can be read; what would write says so in a sentence."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from simclr_spec.plan import compile
from simclr_spec.store.history import record_plan
from simclr_spec.store.layout import Store
from tests import runs
from tests.disks import as_others, mounted, remount
from tests.finished import fail

REPORT = """
title = "Mine"
spec = "tiny.toml"
metric = "top1"
columns = [{ title = "top-1", where = { seed = 0 } }]
rows = [{ title = "alone", where = { stage = "supervised" } }]
"""
FAILED = "supervised.train_steps=3"
READ_ONLY = "the file system is read-only: {} could not be written; mount it for writing"
DENIED = "cannot use {}: Permission denied; let its owner permit it"

Unwritable = Callable[[Path, Path], AbstractContextManager[list[str]]]
"""Makes a project at a path from an undisturbed run; gives what commands begin with there."""


@contextmanager
def _read_only(folder: Path, undisturbed: Path) -> Iterator[list[str]]:
    with mounted(folder, "20m"):
        _filled(folder, undisturbed)
        remount(folder, "ro")
        yield []


@contextmanager
def _of_another(folder: Path, undisturbed: Path) -> Iterator[list[str]]:
    others = as_others()
    _filled(folder, undisturbed)
    subprocess.run(["chmod", "-R", "a-w", str(folder / "runs")], check=True)
    yield others
    subprocess.run(["chmod", "-R", "u+w", str(folder / "runs")], check=True)


def _filled(folder: Path, undisturbed: Path) -> None:
    """All Steps of a plan are done, one of them after a vain attempt; in the plan that ran last, one Step failed."""
    shutil.copytree(undisturbed, folder, dirs_exist_ok=True)
    (folder / "report.toml").write_text(REPORT)
    store, sets = Store(folder / "runs"), runs.sets(FAILED)
    (supervised,) = [s for s in compile([str(folder / "tiny.toml")], sets=sets).steps if s.kind == "supervised"]
    fail(store, supervised)
    record_plan(store, [str(folder / "tiny.toml")], None, sets)
    next(store.done("pretrain")).new_attempt()


@pytest.mark.parametrize(("unwritable", "refusal"), [(_read_only, READ_ONLY), (_of_another, DENIED)], ids=["ro", "owner"])
def test_it_can_be_read_and_a_plan_that_is_done_has_nothing_to_run(
    unwritable: Unwritable, refusal: str, tmp_path: Path, undisturbed: Path
) -> None:
    folder = tmp_path / "project"
    with unwritable(folder, undisturbed) as others:

        def told(name: str, *words: str) -> tuple[int, str]:
            spec = [str(folder / "tiny.toml"), *runs.SMALL] if name in ("plan", "run") else []
            command = [*others, sys.executable, "-m", "simclr_spec", name, *spec, *words, "--store", str(store)]
            done = subprocess.run(command, capture_output=True, text=True, env=runs.environment(), cwd=folder, check=False)
            return done.returncode, done.stdout + done.stderr

        store = folder / "runs"
        for name, words, expected in (
            ("plan", (), "Everything is done: nothing will run."),
            ("status", (), "NaN loss in train step 3"),
            ("logs", ("kind=pretrain",), "(no log)"),
            ("report", ("report.toml", *runs.SMALL), "alone  "),
            ("cancel", ("state=failed",), "Nothing to stop"),
            ("gc", (), "did not win"),
        ):
            code, said = told(name, *words)
            assert code == 0, said
            assert expected in said
        count = "import simclr_spec; print(len(simclr_spec.results('runs')))"
        assert subprocess.check_output([*others, sys.executable, "-c", count], cwd=folder) == b"5\n"

        remembered = f"this plan is not remembered as the one that ran last: {refusal.format(store / '.plans/all.jsonl')}\n"
        assert told("run") == (0, f"5 Steps, all done before: nothing to run.\n{remembered}")
        nothing_started = f"{refusal.format(store)}, or name another store with --store. Nothing started\n"
        assert told("run", "--set", FAILED) == (1, nothing_started)
        assert told("retry") == (1, nothing_started)
        vain = next(Store(store).done("pretrain")).attempts()[-1].path
        assert told("gc", "--delete") == (1, f"{refusal.format(vain)}, and try again\n")


def test_a_running_step_of_another_is_not_cancelled(tmp_path: Path) -> None:
    others, store = as_others(), Store(tmp_path / "runs")
    step = compile(["quickstart"]).steps[0]
    folder = fail(store, step)
    with folder.leased():
        folder.path.chmod(0o555)
        command = [*others, sys.executable, "-m", "simclr_spec", "cancel", "state=running", "--store", str(store.path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, f"{DENIED.format(folder.cancelled)}, and try again\n")


@pytest.mark.parametrize(
    "words", [("plan", "quickstart"), ("status",), ("logs",), ("report", "quickstart"), ("retry",), ("gc",)]
)
def test_a_store_that_is_private_to_another(words: tuple[str, ...], tmp_path: Path) -> None:
    others, store = as_others(), tmp_path / "runs"
    store.mkdir(mode=0o000)
    command = [*others, sys.executable, "-m", "simclr_spec", *words, "--store", str(store)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    (sentence,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert sentence.startswith(f"cannot use {store}")
    assert sentence.endswith(": Permission denied; let its owner permit it, and try again")
