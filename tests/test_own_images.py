"""Folders of one's own: a data-set file of a line, counts from the folder, faults that point at what a person wrote."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from simclr_spec.cli.main import main
from simclr_spec.core.errors import DataError, SpecError
from simclr_spec.core.fields import build
from simclr_spec.language import declared
from simclr_spec.language.dataset import read_dataset
from simclr_spec.plan import compile
from simclr_spec.stages.common import DatasetConfig
from simclr_spec.store import first_look
from simclr_spec.store.layout import Store
from simclr_spec.train.data import datasets
from tests import folders
from tests.folders import pets, picture, written

SHORT = "image_size = 8\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three classes under the default root, ./data, of the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SIMCLR_SPEC_DATA", raising=False)
    pets(tmp_path / "data" / "pets")
    return tmp_path


def faults(spec: Path, **options: object) -> list[str]:
    with pytest.raises(SpecError) as caught:
        compile([str(spec)], **options)  # type: ignore[arg-type]
    return [str(fault) for fault in caught.value.faults]


def test_one_line_is_enough(root: Path) -> None:
    """The Steps are those of the numbers written out, with a source and a status or without."""
    counted = compile([str(written(root, dataset=SHORT))])
    plain = compile([str(written(root))])
    table = "\n".join(
        f"{line.partition(' = ')[0]} = {{ value = {line.partition(' = ')[2]}, source = 'ours', status = 'derived' }}"
        for line in folders.DATASET.strip().splitlines()
    )
    assert counted.digest == plain.digest == compile([str(written(root, dataset=table))]).digest
    step = counted.steps[0]
    assert step.params["dataset"] == {
        "name": "pets",
        "loader": "image_folder",
        "digest": "",
        "classes": 3,
        "train_images": 12,
        "test_images": 6,
        "image_size": 8,
    }
    assert step.origins["dataset.classes"].origin == "scanned from data/pets"
    assert step.origins["dataset.loader"].origin.endswith("pets.toml:1")


def test_what_is_written_goes_before_what_is_counted(root: Path) -> None:
    facts = read_dataset(
        str(written(root, dataset="image_size = 8\ntrain_images = 7\nname = 'pets'\n").with_name("pets.toml")), None
    )[1]
    assert [facts[f"dataset.{key}"].value for key in ("train_images", "test_images", "classes")] == [7, 6, 3]


def test_a_folder_that_is_not_there_or_not_as_it_should_be(root: Path) -> None:
    spec = written(root, dataset=SHORT)
    (root / "data").rename(root / "elsewhere")
    (fault,) = faults(spec)
    assert fault.startswith(
        f"{root}/pets.toml:1:1: classes, train_images, test_images are not written here, so the images are counted, but "
        f"data set 'pets' (folders train and val, one subfolder a class) not found (looked in {root}/data/pets, {root}/data): "
    )
    assert "--data-root or SIMCLR_SPEC_DATA" in fault
    (root / "data/pets/val").mkdir(parents=True)
    (root / "data/pets/train").mkdir()
    (fault,) = faults(spec)
    assert fault.endswith("so the images are counted, but data/pets/train has no folder of a class")


def test_one_class_is_too_few_to_count(root: Path) -> None:
    pets(root / "data" / "one", ["ape"])
    (root / "one.toml").write_text(SHORT)
    with pytest.raises(SpecError, match=r"data/one/train has one class, 'ape', and at least 2 are needed; classes = 'none' is"):
        read_dataset("one.toml", None)


def test_other_loaders_are_not_counted(tmp_path: Path) -> None:
    text = declared.read("dataset", "digits").text
    (tmp_path / "mine.toml").write_text("\n".join(line for line in text.splitlines() if not line.startswith("test_images")))
    with pytest.raises(SpecError, match=r"mine\.toml:1:1: the file lacks the key 'test_images'$"):
        read_dataset(str(tmp_path / "mine.toml"), None)


def test_every_command_that_plans_takes_the_root(root: Path) -> None:
    """And forgets it: the next command looks where it always does."""
    spec = str(written(root, dataset=SHORT))
    (root / "data").rename(root / "elsewhere")
    where = ["--data-root", f"pets={root}/elsewhere/pets"]
    store = ["--store", str(root / "runs")]
    (root / "runs").mkdir()
    for words in (
        ["plan", spec, *store],
        ["explain", spec],
        ["check", spec],
        ["check", str(root / "pets.toml")],
        ["run", spec, "--dry-run", *store],
        ["status", spec, *store],
        ["logs", spec, *store],
        ["cancel", spec, *store],
    ):
        done = CliRunner().invoke(main, [*words, *where])
        assert done.exit_code == 0, (words, done.output)
        assert CliRunner().invoke(main, words).exit_code == 2, words
    told = CliRunner().invoke(main, ["explain", spec, *where]).output
    assert f"scanned from {root}/elsewhere/pets" in told


def test_a_folder_is_trained_on_reported_and_its_waste_found(root: Path) -> None:
    """In a process of its own; workers get the same root."""
    spec = written(root, dataset=SHORT)
    (root / "data").rename(root / "elsewhere")
    (root / "table.toml").write_text(
        'title = "Pets"\nspec = "mine.toml"\nmetric = "top1"\ncolumns = [{ title = "all", where = { label_fraction = 1.0 } }]\n'
        'rows = [{ title = "supervised", where = { stage = "supervised" } }]\n'
    )
    where = ["--data-root", str(root / "elsewhere"), "--store", str(root / "runs")]

    def simclr(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "simclr_spec", *words, *where]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)

    done = simclr("run", str(spec))
    assert done.returncode == 0, done.stdout + done.stderr
    results = [json.loads((one.path / "result.json").read_text()) for one in Store(root / "runs").folders()]
    assert len(results) == 2
    assert all("top1" in one["metrics"] or "knn_top1" in one["metrics"] for one in results)
    assert "supervised" in simclr("report", "table.toml").stdout
    assert simclr("gc").returncode == 0


UNSCALED = folders.SPEC.replace('scale = "small.toml"\n', "")


def test_sizes_that_do_not_fit_are_faults_of_ones_own_files(root: Path) -> None:
    spec = written(root, spec=UNSCALED, dataset=SHORT)
    found = faults(spec)
    assert found[0].startswith(f"{spec}:7:9: batch 4,096 is more than the 12 images of pets (specs/recipes/simclrv2.toml:")
    assert found[0].endswith(
        "; write batch = 8 in [stages.pretrain] or --set pretrain.batch=8, or batch_at_most_examples = true"
    )
    assert found[1].startswith(f"{spec}:10:9: batch ")
    assert len(found) == 2
    assert compile([str(spec)], sets=["pretrain.batch=8", "supervised.batch=8"]).steps


def test_of_a_declared_spec_they_are_faults_of_the_data_set(root: Path) -> None:
    written(root, dataset=SHORT)
    with pytest.raises(SpecError) as caught:
        compile(["speedrun"], scale="paper", sets=['dataset="pets.toml"'])
    assert any(str(fault).startswith("pets.toml:1:1: batch 4,096 is more than") for fault in caught.value.faults)


def test_what_a_person_wrote_is_pointed_at(root: Path) -> None:
    spec = written(root, spec=folders.SPEC + "batch = 64\n", dataset=SHORT)
    assert faults(spec) == [
        f"{spec}:13:9: batch 64 is more than the 12 labelled images of pets; "
        "use a smaller batch or batch_at_most_examples = true"
    ]
    assert faults(written(root, dataset=SHORT), sets=["test_images=7"])[0].startswith("--set test_images=7: test_images 7 is")


def test_test_images_of_a_declared_scale(root: Path) -> None:
    """The scale's number is not the person's: the remedy is."""
    written(root, dataset=SHORT)
    found = faults(
        written(
            root,
            dataset=SHORT,
            spec=folders.SPEC.replace('"small.toml"', '"cifar10_cpu"').replace('dataset = "pets.toml"\n', ""),
        ),
        sets=['dataset="pets.toml"'],
    )
    assert any("test_images" in fault and "--set pretrain.test_images=none" in fault for fault in found)


@pytest.mark.parametrize("digest", ["a" * 63, "A" * 64, f"sha256:{'a' * 64}"])
def test_a_digest_is_of_64_small_digits(root: Path, digest: str) -> None:
    """Any other could be that of no images, and the run would say that these are the wrong ones."""
    (fault,) = faults(written(root, dataset=f'{SHORT}digest = "{digest}"\n'))
    assert fault.startswith(f"{root}/pets.toml:2:10: digest must match ^([0-9a-f]{{64}})?$, not '{digest[:9]}")


# ---------------------------------------------------------------- images without labels

PILE = 'classes = "none"\nimage_size = 8\n'
ONLY = folders.SPEC.partition("[stages.supervised]")[0]


@pytest.fixture
def pile(root: Path) -> Path:
    """Twelve images in folders that mean nothing, one of them beside the folders, and no val."""
    train = root / "data/pets/train"
    shutil.rmtree(root / "data/pets/val")
    (train / "ape").rename(train / "2019")
    (train / "bat").rename(train / "2019/june")
    (train / "cow/0.png").rename(train / "alone.png")
    (train / "cow/back").symlink_to(train)  # a cycle
    return root


def test_a_pile_without_labels_is_pretrained_on(pile: Path) -> None:
    """In a process of its own: with a curve, without a k-NN monitor or a linear head."""
    spec = written(pile, spec=ONLY, dataset=PILE)
    (step,) = compile([str(spec)]).steps
    assert step.params["dataset"] == {
        **folders.declared(classes=None, test_images=None).__dict__,
        "train_images": 12,
    }
    head = step.origins["linear_head"]
    assert (head.value, head.recipe and head.recipe.value, head.origin) == (False, True, f"{pile}/pets.toml:1")
    command = [sys.executable, "-m", "simclr_spec", "run", str(spec), "--store", str(pile / "runs")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = Store(pile / "runs").folders()
    result = json.loads(folder.result.read_text())
    assert result["metrics"].keys() == {"loss", "contrast_top1"}
    assert "result: loss " in folder.attempts()[-1].log.read_text()
    images = datasets.load(build(DatasetConfig, step.params["dataset"]))
    files = [f"{place}{n}.png" for place in ("2019/", "2019/june/", "cow/") for n in range(4)]
    assert images.train_names == tuple(sorted({*files, "alone.png"} - {"cow/0.png"}))
    assert set(images.train_labels.tolist()) == {-1}


def test_a_pile_is_looked_at(pile: Path) -> None:
    (step,) = compile([str(written(pile, spec=ONLY, dataset=PILE))]).steps
    assert first_look.look_ahead([step]) == []
    (pile / "data/pets/train/cow/1.png").write_bytes(b"")
    (pile / "data/pets/train/cow/2.heic").touch()
    (pile / "data/pets/train/2019/june/3.png").unlink()
    with pytest.raises(DataError) as caught:
        first_look.look_ahead([step])
    assert str(caught.value).splitlines() == [
        "data/pets/train/cow/2.heic is an image of a kind that is not read: convert it to JPEG or PNG",
        "data/pets/train/cow/1.png is empty: it has 0 bytes",
        "data set 'pets' is declared with 12 training and no test images of no classes (scanned from data/pets); "
        "found 11, no and no in data/pets/train",
    ]
    shutil.rmtree(pile / "data/pets/train")
    (pile / "data/pets/train").mkdir()
    assert faults(pile / "mine.toml")[0].endswith("so the images are counted, but data/pets/train holds no image")


def test_what_needs_labels_is_a_fault(pile: Path) -> None:
    spec = written(pile, dataset=PILE)
    assert faults(spec) == [
        f"{pile}/pets.toml:1:11: the images of pets have no classes, so [stages.supervised] has nothing to learn: "
        "a supervised needs another dataset, or sort the images into classes"
    ]
    spec = written(pile, spec=ONLY + "linear_head = true\n", dataset=PILE)
    assert faults(spec) == [
        f"{spec}:11:15: linear_head needs labels, and the images of pets have no classes ({pile}/pets.toml:1); "
        "leave it out, or write false"
    ]
    assert faults(written(pile, spec=ONLY, dataset=PILE + "test_images = 4\n")) == [
        f"{pile}/pets.toml:1:11: classes is 'none', but test_images is not: without labels nothing can be tested"
    ]
    cifar10 = declared.read("dataset", "cifar10").text.replace('"cifar10"', '"pets"', 1)
    (classes,) = [line for line in cifar10.splitlines() if line.startswith("classes")]
    text = cifar10.replace(classes, 'classes = "none"').replace(
        "test_images = { value = 10000", 'test_images = { value = "none"'
    )
    assert faults(written(pile, spec=ONLY, dataset=text))[0].endswith("pets has classes: only an image_folder can be without")


def test_what_was_pretrained_on_a_pile_is_fine_tuned_on_classes(pile: Path) -> None:
    pets(pile / "data" / "zoo")
    (pile / "zoo.toml").write_text(SHORT)
    text = ONLY + '[stages.tuned]\nkind = "finetune"\nfrom = "pretrain"\ndataset = "zoo.toml"\nlabels_per_class = 2\n'
    steps = compile([str(written(pile, spec=text, dataset=PILE))]).steps
    assert [step.params["dataset"]["classes"] for step in steps] == [None, 3]


# ---------------------------------------------------------------- the page

PAGE = (Path(__file__).parents[1] / "docs/own-images.md").read_text(encoding="utf-8")


def test_the_page_is_what_a_person_can_do(root: Path) -> None:
    """Every block: the files are written, and the commands typed in their order, in a folder beside the images."""
    pets(root / "data" / "leaves", ["ash", "elm", "oak"], train=12, test=4)
    pets(root / "data" / "pile", ["2019", "2020"], train=10, test=0)
    blocks = re.findall(r"```(\S*) ?(\S*)\n(.*?)```", PAGE, re.DOTALL)
    assert [language for language, _, _ in blocks if language not in ("toml", "sh")] == [""]  # the folder
    for _, name, text in blocks:
        if name:
            (root / name).write_text(text, encoding="utf-8")
    counted, leaves = (read_dataset(name, None)[1] for name in ("counted.toml", "leaves.toml"))
    assert {key: one.value for key, one in counted.items()} == {key: one.value for key, one in leaves.items()}
    said = {}
    for command in [line for language, _, text in blocks if language == "sh" for line in text.splitlines()]:
        words = [sys.executable, "-m", "simclr_spec", *command.split()[1:]]
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=root)
        assert done.returncode == 0, (command, done.stdout + done.stderr)
        said[command] = done.stdout
    table = said["simclr-spec report table.toml"].splitlines()
    for title in ("fine-tuned", "supervised"):
        (row,) = [line for line in table if line.startswith(title)]
        assert 0 <= float(row.split()[1]) <= 100
    assert "2 Steps in" in said["simclr-spec run both.toml"]


def here(root: Path) -> Path:
    """A runner that trains in this process."""
    (root / "here.toml").write_text('kind = "debug"\n')
    return root / "here.toml"


def test_results_of_counted_images_are_shown_where_the_images_are_not(root: Path) -> None:
    """As on another computer: the numbers are those of the last run. What would be trained needs the images."""
    written(root, dataset=SHORT)
    (root / "report.toml").write_text(
        'title = "Pets"\nspec = "mine.toml"\nmetric = "top1"\ncolumns = [{ title = "all" }]\n'
        'rows = [{ title = "supervised", where = { kind = "supervised" } }]\n'
    )
    (root / "data").rename(root / "elsewhere")
    options = ["--runner", str(here(root)), "--data-root", "elsewhere"]
    assert CliRunner().invoke(main, ["run", "mine.toml", *options]).exit_code == 0
    (root / "elsewhere").rename(root / "away")
    for words in (["plan", "mine.toml"], ["status", "mine.toml"], ["report", "report.toml"], ["gc"], ["run", "mine.toml"]):
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, (words, done.output)
    assert "all done before" in CliRunner().invoke(main, ["run", "mine.toml"]).output
    assert "Nothing to delete" in CliRunner().invoke(main, ["gc"]).output
    more = CliRunner().invoke(main, ["run", "mine.toml", "--set", "supervised.train_steps=3"])
    assert (more.exit_code, "data set 'pets'" in more.output, "not found" in more.output) == (1, True, True)


def test_images_lie_where_they_did_in_the_last_run_though_others_lie_in_data(root: Path) -> None:
    written(root, dataset=SHORT)
    (root / "data").rename(root / "far")
    assert CliRunner().invoke(main, ["run", "mine.toml", "--runner", str(here(root)), "--data-root", "far"]).exit_code == 0
    pets(root / "data" / "pets")
    shutil.copy(root / "data/pets/train/ape/0.png", root / "data/pets/train/ape/more.png")
    assert "all done before" in CliRunner().invoke(main, ["run", "mine.toml"]).output
    assert "Everything is done" in CliRunner().invoke(main, ["plan", "mine.toml"]).output


def test_a_root_without_the_images_is_not_remembered(root: Path) -> None:
    written(root, dataset=SHORT)
    (root / "data").rename(root / "far")
    CliRunner().invoke(main, ["run", "mine.toml", "--runner", str(here(root)), "--data-root", "far"])
    again = CliRunner().invoke(main, ["run", "mine.toml", "--data-root", "fra"])
    assert again.output == (
        "the images of 'pets' are not at hand: whether they are those of these results was not looked at\n"
        "2 Steps, all done before: nothing to run.\n"
    )
    picture(root / "far/pets/train/ape/0.png", (1, 2, 3))
    assert "stale" in CliRunner().invoke(main, ["plan", "mine.toml"]).output
