"""`python -m simclr_spec.train FOLDER...`: one Step after another, and what it says of those that cannot be executed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from simclr_spec.core.errors import UsageError
from simclr_spec.core.files import read_json, write_json
from simclr_spec.store.layout import Store
from simclr_spec.train.__main__ import main
from simclr_spec.train.loop.execute import execute
from tests.steps import prepare


def test_a_failed_step_does_not_stop_the_next(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    bad = prepare(store, "supervised", learning_rate=1e30, learning_rate_scaling="none", warmup=0.0)
    good = prepare(store, "supervised", train_steps=2)
    assert main([str(bad.path), str(good.path)]) == 1
    assert good.done
    said = capsys.readouterr().err
    assert ("the loss became" in said, "Traceback" in said) == (True, False)
    assert main([str(good.path)]) == 0


def test_a_folder_without_step_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=r"is not a run folder: it has no step\.json"):
        execute(tmp_path)
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"{tmp_path}: this is not a run folder: it has no step.json\n"


def test_without_folders_the_usage_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err == "usage: python -m simclr_spec.train FOLDER...\n"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kind": "rotation"}, "its step.json is of kind 'rotation', which this version does not know"),
        ({"params": {"tilt": 1}}, "its step.json was written by another version: .*"),
        ({"params": {}}, "its step.json was written by another version: .*"),
    ],
)
def test_a_step_of_another_version_is_refused_in_a_sentence(
    store: Store, capsys: pytest.CaptureFixture[str], change: dict[str, Any], told: str
) -> None:
    folder = prepare(store, "supervised")
    step = read_json(folder.step)
    write_json(
        folder.step, step | {key: step["params"] | new if key == "params" and new else new for key, new in change.items()}
    )
    assert main([str(folder.path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(re.escape(f"{folder.path}: ") + told, line)
