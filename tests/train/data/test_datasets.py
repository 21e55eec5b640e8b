"""Data sets, their digests, labelled subsets and the stream of training batches."""

from __future__ import annotations

import hashlib
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from simclr_spec.core.errors import DataError
from simclr_spec.data import roots as data_roots
from simclr_spec.data.loaders.digits import LOADER as DIGITS
from simclr_spec.data.loaders.image_folder import LOADER as IMAGE_FOLDER
from simclr_spec.data.splits import Splits
from simclr_spec.stages.common import DatasetConfig, LabelsConfig
from simclr_spec.train.data import datasets

DATASETS = Path(__file__).parents[3] / "specs" / "datasets"


def declared(name: str) -> DatasetConfig:
    leaves = tomllib.loads((DATASETS / f"{name}.toml").read_text())
    return DatasetConfig(**{key: leaf["value"] for key, leaf in leaves.items()})


def wanted(**changes: Any) -> LabelsConfig:
    plain = {"fraction": None, "per_class": None, "sampler": "balanced", "list_digest": "", "seed": 0}
    return LabelsConfig(**(plain | changes))


# ---------------------------------------------------------------- loaders


def test_digits_are_the_declared_ones() -> None:
    images = datasets.load(declared("digits"))
    assert isinstance(images.train, torch.Tensor)
    assert images.train.shape == (1437, 3, 8, 8)
    assert images.train.dtype == torch.uint8
    assert images.train.min() == 0
    assert images.train.max() == 255
    assert torch.bincount(images.test_labels).tolist() == [36] * 10


def test_another_digest_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"^data set 'digits' is not the declared one: its digest is 407c\w{60}, declared is 0{64}\. Put "
    ):
        datasets.load(replace(declared("digits"), digest="0" * 64))


def test_other_numbers_are_refused() -> None:
    with pytest.raises(
        DataError, match="declared with 1,437 training and 361 test images of 10 classes; found 1,437, 360 and 10"
    ):
        datasets.load(replace(declared("digits"), test_images=361))


def test_cifar10_is_the_declared_one(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMCLR_SPEC_DATA", f"cifar10={shared / 'data' / 'cifar10'}")
    images = datasets.load(declared("cifar10"))
    assert torch.bincount(images.train_labels).tolist() == [5000] * 10
    assert images.test_labels[:5].tolist() == [3, 8, 8, 0, 6]


def test_missing_data_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMCLR_SPEC_DATA", str(tmp_path))
    with pytest.raises(DataError) as caught:
        datasets.load(declared("cifar10"))
    assert str(caught.value) == (
        f"data set 'cifar10' (folder cifar-10-batches-py) not found (looked in {tmp_path / 'cifar10'}, {tmp_path}): "
        "say where it is with --data-root or SIMCLR_SPEC_DATA"
    )


def test_a_named_root_serves_one_data_set_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMCLR_SPEC_DATA", f"imagenet={tmp_path}")
    assert data_roots.folders("cifar10", [f"imagenet={tmp_path}", "~"]) == [Path.home() / "cifar10", Path.home()]
    with pytest.raises(DataError, match="looked in no root for this data set"):
        datasets.load(declared("cifar10"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes: 3 and 2 training images, 1 and 1 for testing, one of them in one channel."""
    for split, counts in (("train", (3, 2)), ("val", (1, 1))):
        for label, count in enumerate(counts):
            place = tmp_path / "tiny" / split / f"n{label:08}"
            place.mkdir(parents=True)
            for i in range(count):
                mode, colour = ("L", 90) if (label, i) == (0, 1) else ("RGB", (10 * i, 20, 30))
                Image.new(mode, (20 + i, 12), colour).save(place / f"n{label:08}_{i}.JPEG", quality=95)
    monkeypatch.setenv("SIMCLR_SPEC_DATA", str(tmp_path))
    return tmp_path


TINY = DatasetConfig(name="tiny", loader="image_folder", digest="", classes=2, train_images=5, test_images=2, image_size=16)


def test_image_folder(folder: Path) -> None:
    images = datasets.load(TINY)
    assert images.train_labels.tolist() == [0, 0, 0, 1, 1]
    assert images.train_names is not None
    assert images.train_names[3] == "n00000001/n00000001_0.JPEG"
    batch = images.train[torch.tensor([1, 2])]
    assert [tuple(image.shape) for image in batch] == [(3, 12, 21), (3, 12, 22)]
    assert (batch[0].int() - 90).abs().max() <= 1
    found = IMAGE_FOLDER.today(folder / "tiny")
    (folder / "tiny" / "val" / "n00000000" / "n00000000_0.JPEG").write_bytes(b"other")
    assert IMAGE_FOLDER.today(folder / "tiny") != found


# ---------------------------------------------------------------- the test list


def listed(images: datasets.ImageSet, rows: list[int] | None = None) -> str:
    samples = torch.arange(len(images.test_labels)) if rows is None else torch.tensor(rows)
    return datasets.test_list(images, samples, None)


def test_the_test_list_of_pixels_tells_images_order_and_labels() -> None:
    images = datasets.load(declared("digits"))
    assert isinstance(images.train, torch.Tensor)
    assert isinstance(images.test, torch.Tensor)
    other, moved = images.test.clone(), images.test_labels.clone()
    other[359, 1, 3, 3] ^= 1
    moved[359] = (moved[359] + 1) % 10
    trained_on_less = replace(images, train=images.train[:50], train_labels=images.train_labels[:50])
    assert listed(images) == listed(trained_on_less)
    changed = [replace(images, test=other), replace(images, test_labels=moved)]
    found = [listed(one) for one in changed] + [listed(images, rows) for rows in ([*range(359)], [1, 0, *range(2, 360)])]
    assert len({listed(images), *found}) == 5


def test_the_test_list_of_files_tells_images_order_and_labels(folder: Path) -> None:
    """Whatever lies in train, if anything does."""
    images = datasets.load(TINY)
    first = listed(images)
    found = [listed(replace(images, test_labels=torch.tensor([0, 0])))]
    found += [listed(images, rows) for rows in ([0], [1, 0])]
    shutil.rmtree(folder / "tiny" / "train")
    assert listed(datasets.load(TINY, splits=Splits.TEST)) == first
    (folder / "tiny" / "val" / "n00000000" / "n00000000_0.JPEG").write_bytes(b"other")
    found.append(listed(images))
    assert len({first, *found}) == 5


# ---------------------------------------------------------------- labelled subsets

UNEVEN = torch.tensor([i % 7 for i in range(700)] + [6] * 50)[torch.randperm(750, generator=torch.Generator().manual_seed(0))]


@pytest.mark.parametrize("seed", range(5))
def test_subsets_are_balanced_and_nested(seed: int) -> None:
    smaller: set[int] = set()
    for fraction in (0.01, 0.02, 0.1, 0.5):
        found = datasets.labelled(UNEVEN, wanted(fraction=fraction, seed=seed), 7)
        counts = torch.bincount(UNEVEN[found], minlength=7)
        assert len(found) == int(750 * fraction)
        assert counts.max() - counts.min() <= 1
        assert torch.equal(found, found.sort().values)
        assert smaller < set(found.tolist())
        smaller = set(found.tolist())


def test_classes_with_too_few_images_are_refused() -> None:
    """The plan counts per_class x classes images."""
    least = int(torch.bincount(UNEVEN).min())
    assert len(datasets.labelled(UNEVEN, wanted(per_class=least), 7)) == 7 * least
    with pytest.raises(DataError, match=f"some of the 7 classes have fewer than {least + 1} training images"):
        datasets.labelled(UNEVEN, wanted(per_class=least + 1), 7)


def test_labels_per_class_are_nested_in_each_other_and_in_fractions() -> None:
    one, two = (datasets.labelled(UNEVEN, wanted(per_class=k), 7) for k in (1, 2))
    assert torch.bincount(UNEVEN[two]).tolist() == [2] * 7
    assert set(one.tolist()) < set(two.tolist())
    assert torch.equal(datasets.labelled(UNEVEN, wanted(fraction=14 / 750), 7), two)


def test_subsets_follow_the_seed() -> None:
    first, again, other = (datasets.labelled(UNEVEN, wanted(fraction=0.1, seed=seed), 7) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert len(set(first.tolist()) & set(other.tolist())) < 30
    assert first.tolist()[:6] == [0, 2, 7, 12, 28, 68]


def test_all_labels_need_no_seed() -> None:
    assert torch.equal(datasets.labelled(UNEVEN, wanted(fraction=1.0, seed=None), 7), torch.arange(750))


def test_imagenet_fractions_have_the_official_sizes() -> None:
    labels = torch.arange(1281167) % 1000
    for fraction, count in ((0.01, 12811), (0.1, 128116)):
        assert len(datasets.labelled(labels, wanted(fraction=fraction), 1000)) == count


def test_too_small_a_fraction_is_refused() -> None:
    with pytest.raises(DataError, match=r"label_fraction 0\.005 of 750 images is 3, fewer than the 7 classes"):
        datasets.labelled(UNEVEN, wanted(fraction=0.005), 7)


def test_a_published_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMCLR_SPEC_DATA", str(tmp_path))
    names = ["n0/b_2.JPEG", "n0/a_9.JPEG", "n1/a_1.JPEG", "n1/b_7.JPEG"]
    text = b"b_7.JPEG\nb_2.JPEG\n"
    lists = tmp_path / "imagenet_subsets"
    (lists / "folder.txt").mkdir(parents=True)  # no list
    (lists / "half.txt").write_bytes(text)
    config = wanted(fraction=0.5, sampler="list", list_digest=hashlib.sha256(text).hexdigest(), seed=None)
    labels = torch.tensor([0, 0, 1, 1])
    assert datasets.labelled(labels, config, 2, names).tolist() == [0, 3]
    with pytest.raises(DataError, match=rf"^{lists}/half.txt:1: 'b_7.JPEG' is no training image; a line is CLASS/FILE"):
        datasets.labelled(labels[:3], config, 2, names[:3])
    with pytest.raises(
        DataError, match=r"label list of SHA-256 000000000000… not found among folder.txt, half.txt \(looked for \*"
    ):
        datasets.labelled(labels, replace(config, list_digest="0" * 64), 2, names)
    with pytest.raises(DataError, match="a label list names files, and these images are none"):
        datasets.labelled(labels, config, 2, None)


def test_images_of_equal_names_are_told_apart_by_their_class(folder: Path) -> None:
    for label in range(2):
        for i, path in enumerate(sorted((folder / "tiny" / "train" / f"n{label:08}").iterdir())):
            path.rename(path.with_name(f"{i}.JPEG"))
    text = b"n00000000/1.JPEG\nn00000001/1.JPEG\n2.JPEG\n"
    (folder / "mine.txt").write_bytes(text)
    images = datasets.load(TINY)
    config = wanted(fraction=0.6, sampler="list", list_digest=hashlib.sha256(text).hexdigest(), seed=None)
    assert datasets.labelled(images.train_labels, config, 2, images.train_names).tolist() == [1, 2, 4]


@pytest.mark.parametrize(("which", "count"), [(0, 12811), (1, 128116)])
def test_the_official_list_is_found_by_its_digest(
    which: int, count: int, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMCLR_SPEC_DATA", str(shared / "data"))
    listed = tomllib.loads((DATASETS / "imagenet.toml").read_text())["label_lists"][which]
    names = (shared / "data" / "imagenet_subsets" / "10percent.txt").read_text().split()
    files = sorted(f"{name.partition('_')[0]}/{name}" for name in names)
    config = wanted(fraction=listed["fraction"], sampler="list", list_digest=listed["list_digest"]["value"], seed=None)
    labels = torch.zeros(len(files), dtype=torch.long)
    assert len(datasets.labelled(labels, config, 1000, files)) == count


def test_test_subset_is_balanced() -> None:
    labels = torch.from_numpy(DIGITS.read(None).test.labels)
    assert torch.bincount(labels[datasets.evaluation_samples(labels, 100)]).tolist() == [10] * 10
    assert torch.equal(datasets.evaluation_samples(labels, None), torch.arange(360))


# ---------------------------------------------------------------- the stream


def test_every_epoch_shows_every_example_once() -> None:
    epochs, places = datasets.stream(torch.arange(35), 10, seed=4)
    assert epochs.tolist() == [p // 10 for p in range(35)]
    orders = places[:30].view(3, 10)
    assert torch.equal(orders.sort(1).values, torch.arange(10).expand(3, 10))
    assert not torch.equal(orders[0], orders[1])


def test_the_stream_does_not_depend_on_how_it_is_cut() -> None:
    """By train step, by rank, or from the middle on: resuming needs nothing but the position."""
    whole = datasets.stream(torch.arange(64), 10, seed=4)[1]
    parts = [datasets.stream(part, 10, seed=4)[1] for part in torch.split(torch.arange(64), 8)]
    assert torch.equal(torch.cat(parts), whole)
    assert not torch.equal(datasets.stream(torch.arange(64), 10, seed=5)[1], whole)
    assert whole[:10].tolist() == [2, 5, 7, 9, 1, 8, 6, 3, 4, 0]
