"""A Step that only tests needs the folder val: with train away, beside train, and whatever becomes of train."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from simclr_spec.core.files import read_json
from simclr_spec.data.loaders.image_folder import LOADER
from simclr_spec.data.splits import Splits
from simclr_spec.store.layout import RunFolder, Store
from simclr_spec.store.outcomes import paired
from tests import folders, imported
from tests.folders import pets, picture
from tests.typed import columns, typed

CLASSES = [f"class{label}" for label in range(10)]
DATASET = folders.DATASET.replace("3", "10").replace("12", "30").replace("6", "20")
SPEC = """
title = "Audit"
recipe = "simclrv2"
scale = "small.toml"
dataset = "pets.toml"
encoders = [{ depth = 18 }]
seeds = [0]

[stages.start]
kind = "import"
weights = "weights.toml"

[stages.audit]
kind = "evaluate"
from = "start"

[stages.linear]
kind = "linear_eval"
from = "start"
from_layer = 0
label_fraction = 1.0
"""
REPORT = """
title = "Audit"
spec = "mine.toml"
metric = "top1"
columns = [{ title = "top-1" }]
rows = [{ title = "as it is", where = { stage = "audit" } }, { title = "linear", where = { stage = "linear" } }]
"""
HERE = ("--runner", "here.toml")
NOT_FOUND = "data set 'pets' (folders train and val, one subfolder a class) not found (looked in "


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights, a spec that tests and trains, and images for testing alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SIMCLR_SPEC_DATA", raising=False)
    imported.project(tmp_path)
    folders.written(tmp_path, spec=SPEC, dataset=DATASET)
    Path("here.toml").write_text('kind = "debug"\n')
    Path("report.toml").write_text(REPORT)
    pets(Path("images"), CLASSES, train=3)
    shutil.copytree("images/val", "data/pets/val")
    return tmp_path


def run(*words: str) -> str:
    code, said = typed("run", "mine.toml", *words, *HERE)
    assert code == 0, said
    return said


def done() -> dict[str, RunFolder]:
    """By the stage."""
    return {read_json(each.step)["coordinates"]["stage"]: each for each in Store(Path("runs")).folders()}


def states() -> dict[str, str]:
    """By the stage, as a plan tells them."""
    return {step["stage"]: step["state"] for step in json.loads(typed("plan", "mine.toml", "--format", "json")[1])["steps"]}


def test_a_network_is_tested_where_nothing_else_is(here: Path) -> None:
    said = run("stage=audit")
    assert said.splitlines()[-1].endswith(": 2 done.")
    assert "train" not in said
    result = read_json(done()["audit"].result)
    assert result["test_list"]["images"] == 20
    assert result["data_digest"] == LOADER.today(Path("data/pets"), splits=Splits.TEST)
    assert "data_digest" not in read_json(done()["start"].result), "it saw no images"
    assert columns(typed("status", "stage=audit")[1]) == {"stage": "audit", "steps": "1", "done": "1"}
    said = typed("report", "report.toml")[1]
    assert re.search(r"^as it is +\d+\.\d", said, re.MULTILINE)
    assert f"test images pets {result['data_digest'][:8]}" in " ".join(said.split())
    assert run("stage=audit") == "1 Step, all done before: nothing to run.\n"
    assert run("stage=start") == "1 Step, all done before: nothing to run.\n", "it misses no images"


def test_it_is_stale_exactly_when_a_test_image_changed(here: Path) -> None:
    run("stage=audit")
    photo = Path("data/pets/val/class3/0.png")
    kept = photo.read_bytes()
    picture(photo, (9, 9, 9))
    assert states()["audit"] == "stale"
    assert re.search(r"^as it is +stale", typed("report", "report.toml")[1], re.MULTILINE)
    code, said = typed("run", "mine.toml", "stage=audit", *HERE)
    assert (code, said.splitlines()[0]) == (
        1,
        f"✗ 1 Step stale: the images of 'pets' in {here}/data/pets have changed since;",
    )
    photo.write_bytes(kept)
    shutil.copytree("images/train", "data/pets/train")
    assert states() == {"start": "done", "audit": "done", "linear": "new"}
    picture(Path("data/pets/train/class3/0.png"), (9, 9, 9))
    assert run("stage=audit") == "1 Step, all done before: nothing to run.\n"
    shutil.rmtree("data/pets/train/class3")
    assert states()["audit"] == "done"


def test_what_trains_is_refused_as_before(here: Path) -> None:
    for words in ((), ("--dry-run",), ("stage=linear",)):
        code, said = typed("run", "mine.toml", *words, *HERE)
        assert code == 1
        assert NOT_FOUND in said
        assert said.endswith(
            "data/pets has val, but needs folders named train and val; if it is another, "
            "say where it is with --data-root or SIMCLR_SPEC_DATA\n"
        )
    assert not list(Store(Path("runs")).folders()), "nothing started"


def test_beside_training_on_the_same_images(here: Path) -> None:
    """One look at them, results that are paired, and each stale by what it saw."""
    shutil.copytree("images/train", "data/pets/train")
    run()
    found = {stage: read_json(folder.result).get("data_digest") for stage, folder in done().items()}
    both, test = LOADER.today(Path("data/pets")), LOADER.today(Path("data/pets"), splits=Splits.TEST)
    assert found == {"start": None, "audit": test, "linear": both}
    assert len(list(Path("runs/.data").glob("look-*"))) == 1
    assert paired(done()["audit"], done()["linear"])
    said = " ".join(typed("report", "report.toml")[1].split())
    assert f"data pets {both[:8]} · test images pets {test[:8]}" in said
    assert "MIXED" not in said
    picture(Path("data/pets/train/class3/0.png"), (9, 9, 9))
    assert states() == {"start": "done", "audit": "done", "linear": "stale"}
    shutil.rmtree("data/pets/train")
    assert run("stage=audit") == "1 Step, all done before: nothing to run.\n"
    picture(Path("data/pets/val/class3/0.png"), (9, 9, 9))
    assert states()["audit"] == "stale"


def test_a_declared_digest_is_of_both_splits(here: Path) -> None:
    Path("pets.toml").write_text(f'{DATASET}digest = "{LOADER.today(Path("images"))}"\n')
    code, said = typed("run", "mine.toml", "stage=audit", *HERE)
    assert code == 1
    assert NOT_FOUND in said
    assert said.endswith("; its digest (pets.toml:8) is of both splits: without it, tests need the test split alone\n")
    shutil.copytree("images/train", "data/pets/train")
    run("stage=audit")
    assert "data_digest" not in read_json(done()["audit"].result), "it is in the Step"
    picture(Path("data/pets/train/class3/0.png"), (9, 9, 9))
    code, said = typed("run", "mine.toml", "stage=audit", "--set", "test_images=10", *HERE)
    assert (code, "data set 'pets' is not the declared one" in said) == (1, True)


def test_numbers_that_are_not_written_are_counted_in_both(here: Path) -> None:
    Path("pets.toml").write_text("image_size = 8\n")
    code, said = typed("run", "mine.toml", "stage=audit", *HERE)
    assert (code, "are not written here, so the images are counted, but " + NOT_FOUND in said) == (2, True)


def test_doctor_says_what_is_enough_for_tests(here: Path) -> None:
    Path("data/pets").rename("data/imagenet")
    lines = typed("doctor")[1].splitlines()
    (place,) = (n for n, line in enumerate(lines) if line.startswith("            imagenet: not here"))
    assert lines[place + 1] == "              but its test split is, which is enough for tests: data/imagenet"
