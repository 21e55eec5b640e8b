"""What commands say of a store: one word for each state; and stores that are none."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from simclr_spec.core.files import read_json, write_json
from simclr_spec.core.states import STATES
from simclr_spec.data.loaders.image_folder import LOADER
from simclr_spec.language.coordinates import parse
from simclr_spec.plan import compile
from simclr_spec.store.arrays import Queued
from simclr_spec.store.layout import Store
from simclr_spec.store.results import results
from tests import runs, tiny
from tests.finished import FEW, fail, finish, plant, prepare
from tests.typed import columns, typed


def test_plan_status_report_and_selectors_have_one_word_for_each_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIMCLR_SPEC_DATA", "tinyset=pictures")
    tiny.project(tmp_path)
    Path("mine.toml").write_text(tiny.SPEC.replace("encoders", "seeds = [0, 1, 2, 3, 4, 5, 6, 7]\nencoders"))
    rows = [f'{{ title = "{seed}", where = {{ stage = "supervised", seed = {seed} }} }}' for seed in range(8)]
    Path("report.toml").write_text(
        tiny.REPORT.replace("seed = 0", 'dataset = "tinyset"').partition("rows")[0] + f"rows = [{', '.join(rows)}]"
    )
    store = Store(Path("runs"))
    store.make()
    today = LOADER.today(Path("pictures"), store.hashes_of(Path("pictures")))
    done, stale, running, queued, failed, interrupted, unknown, _ = compile(["mine.toml"]).select(parse(["stage=supervised"]))
    for step, seen in ((done, today), (stale, "0" * 64)):
        result = finish(store, step, {"top1": 50.0}).result
        write_json(result, {**read_json(result), "data_digest": seen})
    fail(store, failed)
    write_json(prepare(store, interrupted).new_attempt().record, {"state": "running"})
    write_json(prepare(store, running).new_attempt().record, {"state": "running"})
    prepare(store, queued).queue(Queued(job="1234_5", array="x", index=5, after_attempt=0))
    plant(prepare(store, unknown), age=1e6)
    with store.folder(running.id).leased():
        planned = json.loads(typed("plan", "mine.toml", "--format", "json", "stage=supervised")[1])
        told = {
            "plan": [step["state"] for step in planned["steps"]],
            "report": list(pd.read_csv(io.StringIO(typed("report", "report.toml", "--format", "csv")[1]))["state"]),
            "selectors": [
                s for s in STATES if columns(typed("status", "mine.toml", "stage=supervised", f"state={s}")[1])["steps"] == "1"
            ],
        }
        status = columns(typed("status", "mine.toml", "stage=supervised")[1])
        table = columns(typed("plan", "mine.toml", "stage=supervised")[1])
        shown = typed("report", "report.toml")[1]
    assert told == {key: list(STATES) for key in ("plan", "report", "selectors")}
    counts = dict.fromkeys(STATES, "1")
    assert status.items() >= counts.items()
    assert table.items() >= (counts | {"ready": "1", "waits": "–"}).items() - {("new", "1")}
    assert [line.split()[1] for line in shown.splitlines()[4:12]] == ["50.0", *STATES[1:-1], "–"]
    assert re.search(r"^Missing .*1 new", shown, re.MULTILINE)


@pytest.mark.parametrize("command", ["status", "logs", "cancel", "retry", "gc", "report"])
def test_a_mistyped_store_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.chdir(tmp_path)
    words = {"cancel": ["state=running"], "report": ["quickstart"]}.get(command, [])
    told = f"there is nothing at {tmp_path}/rnus: --store names the folder in which Steps were run\n"
    assert typed(command, *words, "--store", "rnus") == (2, told)
    assert not Path("rnus").exists()


@pytest.mark.parametrize("command", ["plan", "run", "status"])
def test_a_file_is_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").touch()
    told = f"cannot use {tmp_path}/notes.txt: it is a file, and --store wants the name of a folder\n"
    assert typed(command, FEW, "--store", "notes.txt") == (2, told)


def test_without_a_store_there_is_nothing_to_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SIMCLR_SPEC_STORE", raising=False)
    assert typed("status") == (2, f"there is nothing at {tmp_path}/runs: no Step was run in that store\n")
    assert columns(typed("status", FEW)[1])["new"] == columns(typed("status", FEW)[1])["steps"]
    assert typed("plan", FEW, "--store", "new")[0] == 0


ROWS = """
title = "Mine"
spec = "tiny.toml"
metric = "top1"
columns = [{ title = "top-1", where = { seed = 0 } }]
rows = [{ title = "alone", where = { stage = "supervised" } }, { title = "tuned", where = { stage = "finetune" } }]
"""


@pytest.mark.parametrize("name", ["a b", "50%", "x'y", "%j {a}"])
def test_a_store_of_any_name_works_and_what_comes_next_can_be_pasted(tmp_path: Path, name: str) -> None:
    """With its spec in a folder that is called so, too."""
    folder = tmp_path / name
    folder.mkdir()
    (folder / "tiny.toml").write_text(runs.SPEC)
    (folder / "report.toml").write_text(ROWS)
    spec = (f"{name}/tiny.toml", *runs.SMALL, "--set", "train_steps=5", "--set", "supervised.learning_rate=1e30")
    stored = ("--store", f"{name}/{name}")
    done = tiny.call(tmp_path, "run", *spec, *stored)
    assert (done.returncode, done.stdout.count("the loss became nan")) == (1, 2), done.stdout + done.stderr
    for words in (("plan", *spec), ("status",), ("cancel", "state=done"), ("gc",), ("doctor",), ("logs",)):
        done = tiny.call(tmp_path, *words, *stored)
        assert (done.returncode, done.stderr) == (0, ""), words
    assert len(results(folder / name)) == 4

    below = tiny.call(tmp_path, "report", f"{name}/report.toml", *stored).stdout.partition("\nNext ")[2]
    (tmp_path / "simclr-spec").write_text(f'#!/bin/sh\nexec {sys.executable} -m simclr_spec "$@"\n')
    (tmp_path / "simclr-spec").chmod(0o755)
    values = {**runs.environment(), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    pasted = subprocess.run(["sh", "-c", below], capture_output=True, text=True, cwd=tmp_path, env=values, check=False)
    assert (pasted.returncode, pasted.stderr) == (1, ""), below
    logged, _, ran = pasted.stdout.partition("begins")
    assert "failed: the loss became nan" in logged
    assert "5 Steps in " in ran
    assert "4 done (4 before), 1 failed." in ran
    assert tiny.call(tmp_path, "retry", *stored).returncode == 1
