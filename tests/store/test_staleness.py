"""Images that changed under finished results: `stale`, one word wherever a person looks, never run again, never counted."""

from __future__ import annotations

import json
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from simclr_spec.core.files import read_json, write_json
from simclr_spec.data import digests
from simclr_spec.data.loaders.image_folder import LOADER
from simclr_spec.data.splits import Splits
from simclr_spec.dispatch import run as dispatch
from simclr_spec.language.coordinates import parse
from simclr_spec.plan import compile
from simclr_spec.report.table import make
from simclr_spec.store import staleness
from simclr_spec.store.history import all_plans
from simclr_spec.store.layout import RunFolder, Store
from tests import runs, tiny
from tests.finished import FEW, finish_all
from tests.typed import columns, typed

WHERE = ("--data-root", "tinyset=pictures")
HERE = (*WHERE, "--runner", "here.toml")
"""Training in this process, which need not import torch once more."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mine.toml, run on its images."""
    folder = tmp_path_factory.mktemp("trained")
    tiny.project(folder)
    (folder / "report.toml").write_text(tiny.REPORT)
    (folder / "here.toml").write_text('kind = "debug"\n')
    done = tiny.call(folder, "run", "mine.toml", *WHERE)
    assert done.stdout.splitlines()[-1].endswith(": 3 done."), done.stdout + done.stderr
    return folder


@pytest.fixture
def mine(tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy; the roots that its runs remember are those of the copy, too."""
    shutil.copytree(trained, tmp_path / "mine")
    for file in (tmp_path / "mine" / "runs" / ".plans").glob("*.json*"):
        file.write_text(file.read_text().replace(str(trained), str(tmp_path / "mine")))
    (plan,) = (tmp_path / "mine" / "runs" / ".plans").glob("mine*.json")
    monkeypatch.chdir(tmp_path / "mine")
    monkeypatch.setenv("SIMCLR_SPEC_CHECKPOINT_STEPS", "1")
    monkeypatch.delenv("SIMCLR_SPEC_DATA", raising=False)
    shutil.copy(plan, _plan_file())
    assert typed("run", "mine.toml", *WHERE)[0] == 0  # looks at the copied images
    return tmp_path / "mine"


def _plan_file() -> Path:
    from simclr_spec.store.history import _file

    return _file(Store(Path("runs")), "mine.toml")


def files(folder: Path) -> dict[str, int]:
    """Every file of its run folders, with its mtime."""
    return {str(path): path.stat().st_mtime_ns for path in folder.glob("runs/[a-z]*/*/**/*") if path.is_file()}


def test_the_digest_is_recorded_with_the_result_and_the_attempt(trained: Path) -> None:
    today = LOADER.today(trained / "pictures")
    for folder in Store(trained / "runs").folders():
        assert read_json(folder.result)["data_digest"] == today
        assert read_json(folder.attempts()[0].record)["data_digest"] == today
    assert len(list((trained / "runs" / ".data").glob("*.hashes"))) == 1


def test_changed_images_make_results_stale_until_they_are_put_back(mine: Path) -> None:
    before = files(mine)
    tiny.images(mine / "pictures", 1)
    code, said = typed("run", "mine.toml", *WHERE)
    assert (code, said) == (
        1,
        f"✗ 3 Steps stale: the images of 'tinyset' in {mine}/pictures have changed since;\n"
        "  put the images back, or pin the new ones, for new Steps: simclr-spec pin tinyset.toml\n",
    )
    assert columns(typed("plan", "mine.toml")[1])["stale"] == "3"
    assert columns(typed("status")[1]) == {"stage": "total", "steps": "3", "stale": "3"}
    code, said = typed("report", "report.toml")
    assert re.search(r"^alone +stale$", said, re.MULTILINE)
    assert re.search(r"^tuned +stale$", said, re.MULTILINE)
    assert "Made from    0 of 3 runs" in said
    assert "Next         simclr-spec pin tinyset.toml" in said
    assert typed("report", "report.toml", "--strict")[0] == 1
    assert typed("retry")[0] == 2, "nothing failed"
    assert typed("run", "mine.toml", "--dry-run", *WHERE)[0] == 1
    (mine / "runs").rename(mine / "kept")
    assert "simclr-spec pin tinyset.toml --store kept\n" in typed("plan", "mine.toml", "--store", "kept")[1]
    (mine / "kept").rename(mine / "runs")
    assert files(mine) == before
    tiny.images(mine / "pictures")
    assert typed("run", "mine.toml", *WHERE) == (0, "3 Steps, all done before: nothing to run.\n")
    assert "stale" not in typed("status")[1]
    assert files(mine) == before


def test_nothing_starts_from_a_stale_step_and_what_needs_none_runs(mine: Path) -> None:
    tiny.images(mine / "pictures", 1)
    changed = ("run", "mine.toml", "--set", "finetune.train_steps=3", *WHERE)
    for words in (changed, (*changed, "--dry-run"), (*changed, "stage=finetune")):
        code, said = typed(*words)
        assert code == 1
        assert re.search(
            r"^finetune/\S+ starts from pretrain/\S+, which is stale: the images of 'tinyset' in \S+/pictures have changed "
            r"since\. Nothing started; put the images back, or pin the new ones, for new Steps: simclr-spec pin tinyset\.toml$",
            said,
            re.MULTILINE,
        )
    assert len(list((mine / "runs" / "finetune").iterdir())) == 1
    code, said = typed("run", "mine.toml", "stage=supervised", "--set", "supervised.train_steps=3", *HERE)
    assert (code, said.splitlines()[-1][-9:]) == (0, ": 1 done.")


def test_a_pinned_data_set_makes_new_steps_and_is_checked(mine: Path) -> None:
    before = compile(["mine.toml"])
    tiny.images(mine / "pictures", 1)
    assert "tinyset.toml: digest " in typed("pin", "tinyset.toml", *WHERE)[1]
    pinned = compile(["mine.toml"])
    assert not set(before.by_fingerprint) & set(pinned.by_fingerprint)
    assert typed("run", "mine.toml", *HERE)[1].splitlines()[-1].endswith(": 3 done.")
    results = [read_json(RunFolder(mine / "runs" / step.id).result) for step in pinned.steps]
    assert not any("data_digest" in result for result in results), "it is in the Step"
    tiny.images(mine / "pictures", 2)
    assert typed("run", "mine.toml", *WHERE) == (0, "3 Steps, all done before: nothing to run.\n")
    before_and_after = LOADER.today(mine / "pictures"), pinned.steps[0].params["dataset"]["digest"]
    for more in ((), ("--dry-run",)):
        code, said = typed("run", "mine.toml", "--set", "train_steps=3", *WHERE, *more)
        assert code == 1
        assert "data set 'tinyset' is not the declared one: its digest is {}, declared is {}.".format(*before_and_after) in said


def test_images_that_are_not_here_and_results_of_before_claim_nothing(mine: Path) -> None:
    tiny.images(mine / "pictures", 1)
    (mine / "pictures").rename(mine / "away")
    assert columns(typed("status")[1]) == {"stage": "total", "steps": "3", "done": "3"}
    assert typed("run", "mine.toml", *WHERE)[0] == 0
    (mine / "away").rename(mine / "pictures")
    for folder in Store(mine / "runs").folders():
        result = read_json(folder.result)
        del result["data_digest"]
        write_json(folder.result, result)
    assert typed("run", "mine.toml", *WHERE)[0] == 0


def test_one_folder_with_labels_and_without_is_not_taken_for_changed_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pile is another digest of the same folder: neither Step is stale by that of the other."""
    monkeypatch.chdir(tmp_path)
    tiny.project(tmp_path)
    Path("here.toml").write_text('kind = "debug"\n')
    Path("tiny-scale.toml").write_text(tiny.SCALE.replace('dataset = "tinyset.toml"', ""))
    Path("pile.toml").write_text('name = "tinyset"\nclasses = "none"\nimage_size = 12\n')
    spec = tiny.SPEC.replace("encoders", 'dataset = "tinyset.toml"\nencoders')
    Path("mine.toml").write_text(spec.replace('kind = "pretrain"', 'kind = "pretrain"\ndataset = "pile.toml"'))
    assert typed("run", "mine.toml", *HERE)[1].splitlines()[-1].endswith(": 3 done.")
    assert columns(typed("plan", "mine.toml")[1])["done"] == "3"
    assert columns(typed("status")[1]) == {"stage": "total", "steps": "3", "done": "3"}
    assert typed("run", "mine.toml", *WHERE) == (0, "3 Steps, all done before: nothing to run.\n")
    tiny.images(tmp_path / "pictures", 1)
    assert typed("run", "mine.toml", *WHERE)[1].startswith("✗ 3 Steps stale: the images of 'tinyset' in")
    assert f"digest {LOADER.today(Path('pictures'), splits=Splits.TRAIN)}" in typed("pin", "pile.toml", *WHERE)[1]


def test_what_comes_of_a_stale_step_is_stale(mine: Path) -> None:
    """The parent's result alone knows of other images."""
    (folder,) = (mine / "runs" / "pretrain").iterdir()
    result = read_json(folder / "result.json")
    write_json(folder / "result.json", {**result, "data_digest": "0" * 64})
    states = {step["kind"]: step["state"] for step in json.loads(typed("plan", "mine.toml", "--format", "json")[1])["steps"]}
    assert states == {"pretrain": "stale", "finetune": "stale", "supervised": "done"}
    assert columns(typed("status", "mine.toml")[1]) == {"stage": "total", "steps": "3", "done": "1", "stale": "2"}
    assert columns(typed("status", "state=stale")[1]) == {"stage": "total", "steps": "2", "stale": "2"}
    table = make("report.toml", Store(Path("runs")))
    assert [value.state for cell in table.cells for value in cell.values] == ["done", "stale"]


def test_a_large_folder_is_looked_at_by_who_trains_only(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staleness, "MOST_FILES", 17)
    tiny.images(mine / "pictures", 1)
    assert "stale" not in typed("status")[1]
    assert "stale" in typed("run", "mine.toml", *WHERE)[1]
    assert "stale" in typed("status")[1], "it believes the last look"


def test_rehash_sees_what_size_mtime_and_inode_hide(mine: Path) -> None:
    path = mine / "pictures" / "train" / "ant" / "0.png"
    before = path.stat()
    with path.open("r+b") as file:
        file.write(bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert typed("run", "mine.toml", *WHERE)[0] == 0
    assert "3 Steps stale" in typed("run", "mine.toml", "--rehash", *WHERE)[1]


def test_a_plan_without_such_results_looks_at_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(*_: object, **__: object) -> None:
        raise AssertionError("looked")

    monkeypatch.chdir(tmp_path)
    tiny.project(tmp_path)
    finish_all(Store(tmp_path / "runs"), compile([FEW]), 50)  # of digits, which declare their digest
    for name in ("of_files", "last_look"):
        monkeypatch.setattr(digests, name, look)
    for words in (("plan", FEW), ("run", FEW), ("plan", "mine.toml"), ("status",), ("status", "mine.toml")):
        code, said = typed(*words)
        assert code == 0, said


def cancel(folder: RunFolder, attempt: int) -> None:
    """As soon as there is something to go on from."""
    runs.wait_for(lambda: len(folder.attempts()) == attempt and folder.attempts()[-1].checkpoint.exists(), 30)
    folder.cancel()


def test_an_interrupted_step_does_not_go_on_with_other_images(mine: Path) -> None:
    step = compile(["mine.toml"], sets=["train_steps=100000"]).select(parse(["stage=supervised"]))[0]
    folder = Store(mine / "runs").folder(step.id)
    logs = []
    for number, seed in ((1, 0), (2, 1), (3, 1)):
        tiny.images(mine / "pictures", seed)
        with ThreadPoolExecutor(1) as other:
            cancelled = other.submit(cancel, folder, number)
            code, said = typed("run", "mine.toml", "stage=supervised", "--set", "train_steps=100000", *HERE)
        cancelled.result()
        assert (code, folder.state()) == (1, "interrupted"), said
        logs.append((read_json(folder.attempts()[-1].record)["resumed_from"], folder.attempts()[-1].log.read_text()))
    (_, _), (fresh, told), (again, _) = logs
    assert fresh is None
    assert "skipped" in told
    assert "the images have changed since" in told
    assert again["attempt"] == 2


# Where the images lie is remembered


def test_retry_goes_back_to_the_images(mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder,) = [one for one in Store(mine / "runs").folders() if one.path.parent.name == "supervised"]
    folder.result.unlink()
    write_json(folder.attempts()[-1].record, {"state": "failed", "error": "a fault"})
    monkeypatch.chdir(tmp_path)
    done = tiny.call(tmp_path, "retry", "--store", "mine/runs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert folder.done
    assert all_plans(Store(mine / "runs"))[0].data_roots == (f"tinyset={mine}/pictures",)
    shutil.rmtree(mine / "pictures")
    folder.result.unlink()
    write_json(folder.attempts()[-1].record, {"state": "failed", "error": "a fault"})
    told = tiny.call(tmp_path, "retry", "--store", "mine/runs").stderr
    assert told.startswith(
        f"data set 'tinyset' (folders train and val, one subfolder a class) not found (looked in {mine}/pictures"
    )
    elsewhere = tiny.call(tmp_path, "retry", "--store", "mine/runs", "--data-root", "elsewhere").stderr
    assert f"(looked in {tmp_path}/elsewhere/tinyset, {tmp_path}/elsewhere)" in elsewhere


def test_the_pin_that_is_advised_counts_where_the_images_lay(mine: Path) -> None:
    Path("tinyset.toml").write_text("image_size = 12\n")
    assert typed("run", "mine.toml", "stage=supervised", *HERE)[0] == 0
    tiny.images(mine / "pictures", 1)
    (advice,) = re.findall(r"simclr-spec (pin .*)", typed("run", "mine.toml", "stage=supervised")[1])
    code, said = typed(*advice.split())
    assert (code, said[:21]) == (0, "tinyset.toml: digest "), said


def test_run_goes_back_to_the_images_and_forgets_them_never(mine: Path) -> None:
    """Also where nothing runs: what shows results must find the images again, or nobody sees that they changed."""
    assert typed("run", "mine.toml") == (0, "3 Steps, all done before: nothing to run.\n")
    code, said = typed("run", "mine.toml", "stage=supervised", "--set", "supervised.train_steps=3", *HERE[2:])
    assert (code, said.splitlines()[-1][-9:]) == (0, ": 1 done.")
    tiny.images(mine / "pictures", 1)
    for words in (("plan", "mine.toml"), ("status", "mine.toml"), ("run", "mine.toml")):
        assert "stale" in typed(*words)[1], words


def test_the_environment_is_heard_before_what_is_remembered(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.images(mine / "others" / "tinyset", 1)
    LOADER.today(mine / "others" / "tinyset", Store(mine / "runs").hashes_of(mine / "others" / "tinyset"))
    assert "stale" not in typed("status")[1]
    monkeypatch.setenv("SIMCLR_SPEC_DATA", str(mine / "others"))
    assert "stale" in typed("status")[1]


# Images that change meanwhile


def test_images_that_change_while_they_are_trained_on_make_no_result(mine: Path) -> None:
    """Nobody could say what such a result is of; nor goes the next attempt on from what it left."""
    step = compile(["mine.toml"], sets=["supervised.train_steps=60"]).select(parse(["stage=supervised"]))[0]
    folder = Store(mine / "runs").folder(step.id)
    words = ("run", "mine.toml", "stage=supervised", "--set", "supervised.train_steps=60", *HERE)

    tiny.images(mine / "new", 1)

    def change() -> None:
        runs.wait_for(lambda: bool(folder.attempts()) and folder.attempts()[-1].checkpoint.exists())
        for file in (mine / "new").rglob("*.png"):
            file.replace(mine / "pictures" / file.relative_to(mine / "new"))  # no image is ever half written

    with ThreadPoolExecutor(1) as other:
        changed = other.submit(change)
        code, said = typed(*words)
    changed.result()
    sentence = "the images of 'tinyset' changed while they were read: leave them alone, and run again"
    assert (code, sentence in said) == (1, True), said
    assert (folder.done, folder.attempts()[0].checkpoint.exists()) == (False, False)
    assert typed(*words)[0] == 0
    assert read_json(folder.result)["data_digest"] == LOADER.today(mine / "pictures")
    assert read_json(folder.attempts()[-1].record)["resumed_from"] is None


def test_what_another_process_made_of_other_images_is_told_when_the_run_ends(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when two people run one spec in one store, each with images of their own."""
    real = dispatch.run

    def run(*args: Any, **more: Any) -> Any:
        outcome = real(*args, **more)
        (folder,) = (mine / "runs" / "supervised").iterdir()
        write_json(folder / "result.json", {**read_json(folder / "result.json"), "data_digest": "0" * 64})
        return outcome

    monkeypatch.setattr(dispatch, "run", run)
    shutil.rmtree(mine / "runs" / "supervised")
    code, said = typed("run", "mine.toml", *HERE)
    assert (code, "✗ 1 Step stale: the images of 'tinyset'" in said) == (1, True), said


def test_one_name_may_be_a_pile_and_have_classes(mine: Path) -> None:
    """Two data-set files of one name: their digests differ, and neither is taken for a change of the other."""
    (mine / "pile.toml").write_text('name = "tinyset"\nclasses = "none"\nimage_size = 12\n')
    (mine / "tiny-scale.toml").write_text(tiny.SCALE.replace('dataset = "tinyset.toml"\n', ""))
    spec = tiny.SPEC.replace("recipe =", 'dataset = "tinyset.toml"\nrecipe =')
    (mine / "both.toml").write_text(spec.replace('kind = "pretrain"', 'kind = "pretrain"\ndataset = "pile.toml"'))
    for _ in range(2):
        code, said = typed("run", "both.toml", *HERE)
        assert code == 0, said
    assert "stale" not in typed("status")[1]
