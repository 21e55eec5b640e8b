"""What lies in a data folder is looked at before anything starts: no image goes unused in silence, and every fault is named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import unicodedata
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from simclr_spec.cli.main import main
from simclr_spec.core.errors import DataError
from simclr_spec.data import listing
from simclr_spec.data.loaders import cifar10
from simclr_spec.data.splits import Splits
from simclr_spec.store import first_look
from simclr_spec.store.layout import Store
from simclr_spec.train.data import datasets
from tests import folders
from tests.folders import declared, pets, picture
from tests.store.spoil import Spoil, add, both, half, link, move, remove, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return pets(tmp_path / "pets")


def look(folder: Path, **changes: object) -> first_look.Look:
    return first_look.look(declared(**changes), [f"pets={folder}"], "pets.toml:6")


NUMBERS = (
    "data set 'pets' is declared with 12 training and 6 test images of 3 classes (pets.toml:6); "
    "found {} in {{0}}/train and {{0}}/val"
)
FINE = {
    "as declared": lambda _: None,
    "a hidden file among the classes": write("train/.DS_Store"),
    "a hidden file among the images": write("train/ape/._0.png"),
    "a notebook's folder, with images": add("train/.ipynb_checkpoints/0.png"),
    "a file browser's litter": write("val/cow/Thumbs.db"),
    "an archiver's litter": add("train/__MACOSX/0.png"),
    "names in capitals": move("train/ape/0.png", "train/ape/0.PNG"),
    "a class behind a link": both(move("train/bat", "../other"), link("train/bat", "../../other")),
    "an odd name": move("train/ape/0.png", "train/ape/a\nb.png"),
    "a name in no encoding": lambda f: os.rename(f / "train/ape/0.png", os.fsencode(f) + b"/train/ape/\xff\xfe.png"),
    "the same names in all classes, in another case": both(move("train/ape", "train/Ape"), move("val/ape", "val/Ape")),
    "one pixel": lambda folder: picture(folder / "train/ape/0.png", size=(1, 1)),
    "another format": both(remove("train/ape/0.png"), add("train/ape/0.webp")),
}  # fmt: skip


@pytest.mark.parametrize("case", FINE)
def test_what_a_person_expects_to_be_fine(case: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMCLR_SPEC_DATA", f"pets={folder}")
    FINE[case](folder)
    seen = look(folder)
    assert (seen.faults, seen.notes) == ((), ())
    assert len(datasets.load(declared()).train_labels) == 12


IGNORED = {
    "train/labels.csv": write("train/labels.csv"),
    "train/ape/notes.txt": write("train/ape/notes.txt"),
    "val/cow/boxes": write("val/cow/boxes/0.xml"),
}


@pytest.mark.parametrize("case", IGNORED)
def test_what_is_no_image_is_told_as_ignored(case: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMCLR_SPEC_DATA", f"pets={folder}")
    IGNORED[case](folder)
    seen = look(folder)
    assert (seen.faults, seen.notes) == ((), (f"pets: ignored, being no images: {folder}/{case}",))
    assert len(datasets.load(declared()).train_labels) == 12


FAULTS: dict[str, tuple[Spoil, list[str]]] = {
    "an image in a nested folder": (
        move("train/ape/0.png", "train/ape/more/0.png"),
        ["{0}/train/ape/more is a folder inside the folder of a class, with images that would not be used: "
         "move them up into the class", NUMBERS.format("11, 6 and 3") + "; in train 3 (ape) to 4 (bat) a class"],
    ),
    "two more nested folders": (
        both(add("train/ape/a/deep/1.jpg"), add("val/cow/b/1.jpg")),
        ["{0}/train/ape/a, {0}/val/cow/b are folders inside the folder of a class, with images that would not be used: "
         "move them up into the class"],
    ),
    "images beside the classes": (
        both(*(add(f"train/{n}.jpg") for n in range(5))),
        ["{0}/train holds 5 images outside of the folders of classes, not used there: 0.jpg, 1.jpg, 2.jpg and 2 more"],
    ),
    "an image of another kind": (
        write("val/ape/IMG_1.HEIC"),
        ["{0}/val/ape/IMG_1.HEIC is an image of a kind that is not read: convert it to JPEG or PNG"],
    ),
    "an image that is not named as one": (
        both(add("train/ape/new.png"), move("train/ape/new.png", "train/ape/new")),
        ["{0}/train/ape/new is an image (PNG) that would not be used: let its name end in .jpg, .jpeg, .png or the like"],
    ),
    "a class that training does not know": (
        add("val/cows/0.png"),
        ["{0}/val/cows is no class of the training split ({0}/train): its 1 image would not be used"],
    ),
    "a class misspelt": (
        move("val/cow", "val/cwo"),
        ["{0}/val/cwo is no class of the training split ({0}/train): its 2 images would not be used; did you mean 'cow'?",
         "{0}/val has no folder 'cow', a class of the training split ({0}/train)", NUMBERS.format("12, 4 and 3")],
    ),
    "a class in another case": (
        move("val/bat", "val/Bat"),
        ["{0}/val/Bat and {0}/train/bat differ only in case: give the class one name", NUMBERS.format("12, 4 and 3")],
    ),
    "a class without a folder for testing": (
        remove("val/bat"),
        ["{0}/val has no folder 'bat', a class of the training split ({0}/train)", NUMBERS.format("12, 4 and 3")],
    ),
    "no folders of classes for testing": (
        both(*(both(add(f"val/{name}.png"), remove(f"val/{name}")) for name in folders.CLASSES)),
        ["{0}/val has no folders 'ape', 'bat', 'cow', classes of the training split ({0}/train)",
         "{0}/val holds 3 images outside of the folders of classes, not used there: ape.png, bat.png, cow.png",
         NUMBERS.format("12, 0 and 3")],
    ),
    "empty classes": (
        both(*(both(write(f"{split}/dog/.gitkeep")) for split in ("train", "val"))),
        ["{0}/train/dog is a class without an image: add some, or remove it from both splits",
         "{0}/val/dog is a class without an image: add some, or remove it from both splits",
         NUMBERS.format("12, 6 and 4") + "; in train 0 (dog) to 4 (ape) a class"],
    ),
    "a class of which all lies deeper": (
        both(*(move(f"train/ape/{n}.png", f"train/ape/more/{n}.png") for n in range(4))),
        ["{0}/train/ape/more is a folder inside the folder of a class, with images that would not be used: "
         "move them up into the class", NUMBERS.format("8, 6 and 3") + "; in train 0 (ape) to 4 (bat) a class"],
    ),
    "a link to nothing": (
        both(remove("train/ape/0.png"), link("train/ape/0.png", "/nowhere/0.png")),
        ["{0}/train/ape/0.png is a link to /nowhere/0.png, which is not there",
         NUMBERS.format("11, 6 and 3") + "; in train 3 (ape) to 4 (bat) a class"],
    ),
    "a class that is a link to itself": (
        link("train/dog", "dog"), ["{0}/train/dog cannot be followed: Too many levels of symbolic links"]
    ),
    "a pipe": (both(lambda folder: os.mkfifo(folder / "val/ape/2.png")), ["{0}/val/ape/2.png is neither a file nor a folder"]),
    "an empty file": (write("val/ape/1.png", b""), ["{0}/val/ape/1.png is empty: it has 0 bytes"]),
    "a page under an image's name": (
        write("val/ape/1.png", b"<html>404"),
        ["{0}/val/ape/1.png is no image that can be read: damaged, or something else under an image's name"],
    ),
    "half a download": (
        half("val/ape/1.png"),
        ["cannot read the image {0}/val/ape/1.png: image file is truncated"],
    ),
    "one folder for both splits": (
        both(remove("val"), link("val", "train")),
        ["{0}/val is {0}/train: what is learned would be tested on itself", NUMBERS.format("12, 12 and 3")],
    ),
    "pixels that are no colours": (
        lambda f: Image.new("F", (9, 9)).save(f / "val/ape/1.png", "TIFF"),
        ["cannot read the image {0}/val/ape/1.png: its pixels are floating-point numbers, and nothing says which of them is "
         "white; save it with 8 or 16 bits"],
    ),
    "more pixels than there can be": (
        lambda f: Image.new("1", (14000, 14000)).save(f / "val/ape/1.png"),
        ["cannot read the image {0}/val/ape/1.png: it has 196 megapixels, which no photograph has; make it smaller"],
    ),
    "a bitmap cut short": (
        both(lambda f: Image.new("RGB", (9, 9)).save(f / "val/ape/1.png", "BMP"),
             lambda f: os.truncate(f / "val/ape/1.png", 200)),
        ["cannot read the image {0}/val/ape/1.png: image file is truncated (6 bytes not processed)"],
    ),
    "a program under an image's name": (
        write("val/ape/1.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 24 20\n%%EndComments\n%%EOF\n"),
        ["{0}/val/ape/1.png is no image that can be read: damaged, or something else under an image's name"],
    ),
    "one image too few": (
        remove("train/cow/3.png"), [NUMBERS.format("11, 6 and 3") + "; in train 3 (cow) to 4 (ape) a class"]
    ),
    "one image too few of each": (
        both(*(remove(f"val/{name}/1.png") for name in folders.CLASSES)), [NUMBERS.format("12, 3 and 3")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_what_would_go_unused_or_wrong_is_a_fault(case: str, folder: Path) -> None:
    spoil, expected = FAULTS[case]
    spoil(folder)
    assert list(look(folder).faults) == [line.replace("{0}", str(folder)) for line in expected]


TEST = "data set 'pets' is declared with 6 test images of 3 classes (pets.toml:6); found {} in {{0}}/val"
ALONE: dict[str, tuple[Spoil, list[str]]] = {
    "no train": (remove("train"), []),
    "faults of train": (both(remove("train/bat"), add("train/new.png"), write("train/ape/0.png", b"")), []),
    "a train that is val": (both(remove("train"), link("train", "val")), []),
    "one image too few": (remove("val/cow/1.png"), [TEST.format("5 and 3")]),
    "a class too few": (remove("val/bat"), [TEST.format("4 and 2")]),
    "an empty class": (
        write("val/dog/.gitkeep"),
        ["{0}/val/dog is a class without an image: add some, or remove it", TEST.format("6 and 4")],
    ),
    "no class": (
        both(*(remove(f"val/{name}") for name in folders.CLASSES)),
        ["{0}/val has no folder of a class", TEST.format("0 and 0")],
    ),
    "half a download": (half("val/ape/1.png"), ["cannot read the image {0}/val/ape/1.png: image file is truncated"]),
}  # fmt: skip


@pytest.mark.parametrize("case", ALONE)
def test_of_the_test_split_alone_train_is_not_looked_at(case: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMCLR_SPEC_DATA", f"pets={folder}")
    spoil, expected = ALONE[case]
    spoil(folder)
    seen = first_look.look(declared(), [f"pets={folder}"], "pets.toml:6", splits=Splits.TEST)
    assert (list(seen.faults), seen.notes) == ([line.replace("{0}", str(folder)) for line in expected], ())
    if not expected:
        images = datasets.load(declared(), splits=Splits.TEST)
        assert (images.test_labels.tolist(), images.classes) == ([0, 0, 1, 1, 2, 2], folders.CLASSES)
        assert len(images.train_labels) == 0


def test_where_no_test_split_lies_is_told(folder: Path) -> None:
    (folder / "val").rename(folder / "validation")
    with pytest.raises(DataError) as caught:
        first_look.look(declared(), [f"pets={folder}"], "pets.toml:6", splits=Splits.TEST)
    assert str(caught.value).startswith("data set 'pets' (folder val, one subfolder a class) not found (looked in ")
    assert f": {folder} has train and validation, but needs folders named val; if it is another, say" in str(caught.value)


OPENED = ("(PNG)", "0 bytes", "can be read", "cannot read", "declared", "itself")


@pytest.mark.parametrize("case", [case for case in FAULTS if not any(word in FAULTS[case][1][0] for word in OPENED)])
def test_the_training_wing_refuses_what_the_look_refuses(case: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the same names; what takes opening a file it finds when it decodes."""
    monkeypatch.setenv("SIMCLR_SPEC_DATA", f"pets={folder}")
    FAULTS[case][0](folder)
    with pytest.raises(DataError) as caught:
        datasets.load(declared())
    told = [fault for fault in look(folder).faults if not fault.startswith("data set")]
    assert str(caught.value).splitlines() == told
    assert told


def test_classes_that_differ_in_case_only_are_told(tmp_path: Path) -> None:
    """Letters, perhaps; perhaps a slip."""
    seen = look(pets(tmp_path / "pets", ["A", "a"]), classes=2, train_images=8, test_images=4)
    assert (seen.faults, seen.notes) == ((), ("pets: 'A' and 'a' are two classes, whose names differ in case only",))


def test_accents_may_be_encoded_in_two_ways(tmp_path: Path) -> None:
    one = pets(tmp_path / "pets", ["Ängström", "ape"])
    (one / "val" / "Ängström").rename(one / "val" / unicodedata.normalize("NFD", "Ängström"))
    assert "differ only in the encoding of their accents: give the class one name" in listing.scan(one).faults[0]


def test_many_faults_are_counted(folder: Path) -> None:
    for number in range(30):
        write(f"val/ape/more{number:02}.png", b"")(folder)
    with pytest.raises(DataError) as caught:
        first_look.look_ahead(folders.planned(folder.parent).steps, [str(folder.parent)])
    lines = str(caught.value).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 11 more faults of the data"
    assert first_look.the_first(lines) == [*lines[:20], "and 1 more fault of the data"]
    assert first_look.the_first(lines[:20]) == lines[:20]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_what_may_not_be_read_is_named(folder: Path) -> None:
    (folder / "val/ape/1.png").chmod(0)
    (folder / "val/cow").chmod(0)
    faults = look(folder).faults
    (folder / "val/cow").chmod(0o700)
    assert f"{folder}/val/cow cannot be looked into: Permission denied" in faults
    assert f"cannot read the image {folder}/val/ape/1.png: Permission denied" in faults


def test_faults_of_a_whole_run_are_told_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = folders.written(folder.parent, folders.SPEC + 'dataset = "cifar10"\n')
    write("val/ape/1.png", b"")(folder)
    monkeypatch.setenv("SIMCLR_SPEC_DATA", str(folder.parent))
    done = CliRunner().invoke(main, ["run", str(spec), "--dry-run", "--store", str(folder.parent / "runs")])
    assert done.exit_code == 1
    assert done.output.splitlines()[-2:] == [
        f"{folder}/val/ape/1.png is empty: it has 0 bytes",
        f"data set 'cifar10' (folder cifar-10-batches-py) not found (looked in {folder.parent}/cifar10, {folder.parent}): "
        "say where it is with --data-root or SIMCLR_SPEC_DATA",
    ]
    assert not (folder.parent / "runs").exists()


def test_two_data_sets_in_one_folder_are_told(folder: Path) -> None:
    """A root that is a data set itself is that of every name."""
    steps = folders.planned(folder.parent).steps
    zoo = folders.DATASET.replace('"pets"', '"zoo"')
    more = folders.planned(folder.parent, dataset=zoo).steps
    (folder.parent / "zoo").symlink_to(folder)
    for roots in ([str(folder)], [str(folder.parent)]):
        assert first_look.look_ahead([*steps, *more], roots) == [
            f"pets and zoo are read from one folder, {folder}: --data-root NAME=DIR tells them apart"
        ]


def test_cifar10_has_its_original_sizes(tmp_path: Path) -> None:
    for name, original in cifar10.FILES.items():
        (tmp_path / cifar10.FOLDER).mkdir(exist_ok=True)
        with (tmp_path / cifar10.FOLDER / name).open("wb") as file:
            file.truncate(original.size)
    dataset = declared(name="cifar10", loader="cifar10")
    assert first_look.look(dataset, [str(tmp_path)], "").faults == ()
    (tmp_path / cifar10.FOLDER / "test_batch").write_bytes(b"half")
    assert first_look.look(dataset, [str(tmp_path)], "").faults == (
        f"{tmp_path}/cifar-10-batches-py/test_batch is not the original file: it has 4 bytes, not 31,035,526",
    )


def test_headers_are_read_once_while_no_file_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, steps = Store(folder.parent / "runs"), folders.planned(folder.parent).steps
    opened: list[str] = []
    real = first_look._header

    def header(path: str) -> str:
        opened.append(path)
        return real(path)

    monkeypatch.setattr(first_look, "_header", header)

    def headers(*, keep: bool) -> int:
        opened.clear()
        first_look.look_ahead(steps, [str(folder.parent)], store, keep=keep)
        return len(opened)

    assert headers(keep=False) == 18
    assert not store.path.exists()
    assert [headers(keep=True), headers(keep=True), headers(keep=False)] == [18, 0, 0]
    piled = declared(classes=None, test_images=None)
    for count in (12, 0):  # the same folder without labels is remembered beside it
        opened.clear()
        first_look.look(piled, [str(folder.parent)], "", store, keep=True)
        assert len(opened) == count
    assert headers(keep=True) == 0
    os.utime(folder / "val/ape/0.png", ns=(0, 0))
    assert headers(keep=True) == 18
    write("val/ape/0.png", b"<html>")(folder)
    for _ in range(2):  # a fault is never remembered as fine
        with pytest.raises(DataError, match=r"val/ape/0\.png is no image"):
            headers(keep=True)


def test_of_a_large_folder_a_sample_is_opened_and_that_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_look, "MOST_HEADERS", 3)
    seen = look(folder)
    # every sixth of 12 and of 6, and the first of each class
    assert seen.notes == ("pets: of 18 images the headers of 7 are looked at, evenly chosen",)
    write("val/cow/0.png", b"<html>")(folder)
    write("train/ape/1.png", b"<html>")(folder)
    assert len(look(folder).faults) == 1
    write("train/ape/1.png", b"")(folder)  # sizes are those of every file
    assert len(look(folder).faults) == 2


def test_a_run_looks_before_it_starts_and_tells_what_it_ignores(folder: Path) -> None:
    """In processes of its own, with training."""
    where = folder.parent
    spec = folders.written(where)
    write("train/labels.csv")(folder)
    command = [sys.executable, "-m", "simclr_spec", "run", str(spec), "--store", str(where / "runs"), "--data-root", str(where)]
    write("val/ape/0.png", b"<html>")(folder)
    for more in ([], ["--dry-run"]):
        refused = subprocess.run([*command, *more], capture_output=True, text=True, check=False)
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    picture(folder / "val/ape/0.png")
    dry = subprocess.run([*command, "--dry-run"], capture_output=True, text=True, check=True)
    assert "ignored, being no images" in dry.stderr
    assert not (where / "runs").exists()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"pets: ignored, being no images: {folder}/train/labels.csv\n" in done.stderr
    assert len(list((where / "runs/.data").glob("look-*.json"))) == 1


def test_doctor_looks_too(folder: Path) -> None:
    shutil.copytree(folder, folder.parent / "imagenet")
    write("train/ape/notes.txt")(folder.parent / "imagenet")
    done = CliRunner().invoke(main, ["doctor", "--data-root", str(folder.parent), "--store", str(folder.parent / "runs")])
    lines = [line.strip() for line in done.output.splitlines()]
    at = lines.index(f"imagenet: {folder.parent}/imagenet")
    assert lines[at + 1] == f"imagenet: ignored, being no images: {folder.parent}/imagenet/train/ape/notes.txt"
    assert lines[at + 2].startswith("✗ data set 'imagenet' is declared with 1,281,167 training and 50,000 test images of 1,000")
    assert "(specs/datasets/imagenet.toml:7); found 12, 6 and 3 in" in lines[at + 2]


def test_pillows_warnings_are_not_told(folder: Path) -> None:
    """Here of a tag that is cut short, with which the image can be read."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12\0\x03"
    Image.new("RGB", (9, 9)).save(folder / "val/ape/1.png", "JPEG", exif=exif)
    with pytest.warns(UserWarning, match="Corrupt EXIF data"), Image.open(folder / "val/ape/1.png"):
        pass
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert look(folder).faults == ()
