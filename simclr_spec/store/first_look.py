"""The first look: all that Steps will read is looked at before any of them begins, so nothing here loads torch.

Names and numbers are looked at every time. That images can be read is remembered, in <store>/.data/look-*.json, for as long as
no file changes its size or time; nothing else is ever skipped.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock

from simclr_spec.core.errors import DataError, MissingDataError
from simclr_spec.core.fields import build
from simclr_spec.core.files import read_json, write_json
from simclr_spec.core.words import alike, counted, number, shown
from simclr_spec.data import label_lists, listing, pictures
from simclr_spec.data.listing import Listing
from simclr_spec.data.loader import FileLoader
from simclr_spec.data.registry import LOADERS
from simclr_spec.data.roots import data_roots, label_list
from simclr_spec.data.splits import Splits
from simclr_spec.plan import Step
from simclr_spec.stages.common import DatasetConfig, LabelsConfig
from simclr_spec.stages.kinds import KINDS
from simclr_spec.store import weights
from simclr_spec.store.layout import Store

MOST_HEADERS = 20_000
"""Images of a folder whose headers are all read; of more, about so many evenly among them, and the first of each class."""
_MOST_FAULTS = 20
"""Faults that are told."""
_THREADS = 16
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
"""That are looked for in files whose names are no image's. A folder's icon (ICO) is nobody's image."""
_ENDS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND"}
"""What stands at the end of a file that is whole. One without, or of another format, is decoded, which decides."""
_LARGE = 2**23
_ONE_LARGE = Lock()
"""Images of so many pixels are decoded one after another, or they would fill the memory."""
_TAIL = 4096


@dataclass(frozen=True, kw_only=True)
class Look:
    """What was seen of a data set."""

    folder: Path | None = None
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    """CLASS/FILE of the training images, where images are files"""
    name: str = ""


def look_ahead(
    steps: Sequence[Step],
    roots: Sequence[str] = (),
    store: Store | None = None,
    *,
    starts: Iterable[Step] = (),
    keep: bool = False,
) -> list[str]:
    """What a person should know of the Steps' data, a line each; `keep` remembers in the store what was seen.

    `starts`: done Steps that these start from. Raises DataError with the faults of every data set, label list and file of
    weights; MissingDataError where any data set or list is not there.
    """
    faults, absent = weights.look_ahead(steps, starts, store, keep=keep) if store else ([], [])
    missing: list[str] = []
    notes: list[str] = []
    looks: dict[DatasetConfig, Look] = {}
    lists: set[tuple[str, str, str]] = set()
    seeing = [step for step in steps if _splits(step)]
    needed = _needed(seeing)
    for step in seeing:
        dataset = build(DatasetConfig, step.params["dataset"])
        if dataset not in looks:
            try:
                looks[dataset] = _look(step, dataset, needed[dataset], roots, store, keep)
            except MissingDataError as error:
                looks[dataset] = Look()
                missing.append(f"{error}{_whole_for_its_digest(step)}")
            faults += looks[dataset].faults
            notes += looks[dataset].notes
        labels: LabelsConfig | None = step.config.labels_read
        if labels is not None and labels.sampler == "list":
            amount, *wanted = _amount(labels, dataset)
            if (labels.list_digest, dataset.name, amount) in lists:
                continue
            lists.add((labels.list_digest, dataset.name, amount))
            try:
                path, files = label_list(labels.list_digest, data_roots(roots)), looks[dataset].files
                faults += _list_faults(path, files, amount, *wanted) if files else ()
            except MissingDataError as error:
                missing.append(str(error))
    notes += _shared(looks.values())
    if faults or missing or absent:
        told = [*the_first(faults), *the_first(absent), *dict.fromkeys(missing)]
        raise (MissingDataError if missing else DataError)("\n".join(told))
    return notes


def _splits(step: Step) -> Splits:
    return KINDS[step.kind].splits(step.params["dataset"])


def _needed(steps: Iterable[Step]) -> dict[DatasetConfig, Splits]:
    """Of each data set, for all Steps together."""
    needed: dict[DatasetConfig, Splits] = {}
    for step in steps:
        dataset = build(DatasetConfig, step.params["dataset"])
        needed[dataset] = needed.get(dataset, Splits.NONE) | _splits(step)
    return needed


def _look(step: Step, dataset: DatasetConfig, splits: Splits, roots: Sequence[str], store: Store | None, keep: bool) -> Look:
    first = "train_images" if Splits.TRAIN in splits else "test_images"
    return look(dataset, roots, step.origins[f"dataset.{first}"].origin, store, splits=splits, keep=keep)


def _whole_for_its_digest(step: Step) -> str:
    """Why a test needs training images."""
    dataset = step.params["dataset"]
    if KINDS[step.kind].reads is not Splits.TEST or not dataset["digest"] or not LOADERS[dataset["loader"]].needs_digest:
        return ""
    return (
        f"; its digest ({step.origins['dataset.digest'].origin}) is of both splits: without it, tests need the test split alone"
    )


def _shared(looks: Iterable[Look]) -> Iterator[str]:
    """Meant, perhaps; perhaps a root that is a data set itself, in which each one is found."""
    names: dict[Path, dict[str, None]] = {}
    for seen in looks:
        if seen.folder:
            names.setdefault(seen.folder.resolve(), {})[seen.name] = None
    for folder, datasets in names.items():
        if len(datasets) > 1:
            yield f"{' and '.join(datasets)} are read from one folder, {shown(folder)}: --data-root NAME=DIR tells them apart"


def the_first(faults: Sequence[str]) -> list[str]:
    """Each once; not more of them than help."""
    faults = list(dict.fromkeys(faults))
    more = len(faults) - _MOST_FAULTS
    return faults if more <= 0 else [*faults[:_MOST_FAULTS], f"and {counted(more, 'more fault')} of the data"]


def look(
    dataset: DatasetConfig,
    roots: Sequence[str],
    origin: str,
    store: Store | None = None,
    *,
    splits: Splits | None = None,
    keep: bool = False,
) -> Look:
    """These splits of a data set, or all, looked at; `origin` is where its numbers are declared.

    Raises DataError where they are not found."""
    loader, splits = LOADERS[dataset.loader], splits or dataset.splits
    folder = loader.find(dataset.name, data_roots(roots), splits=splits)
    if folder is None:
        return Look()
    if not isinstance(loader, FileLoader):
        return Look(folder=folder, faults=tuple(loader.faults(folder)))
    memory = _Memory(store, folder, splits) if store else None
    return _images(dataset, folder, loader.scan(folder, splits=splits), origin, memory, keep)


def _images(dataset: DatasetConfig, folder: Path, found: Listing, origin: str, memory: _Memory | None, keep: bool) -> Look:
    images = [*found.train.paths(), *found.test.paths()]
    others = [str(path) for path in found.ignored if path.is_file()]
    facts = dict(zip([*images, *others], listing.facts([*images, *others]), strict=True))
    faults = [
        *(_one_split(folder) if found.splits is Splits.BOTH else ()),
        *found.faults,
        *(f"{shown(path)} is empty: it has 0 bytes" for path in images if not facts[path][0]),
    ]
    if sentence := dataset.miscounted(found.counts, folder, origin):
        faults.append(sentence + _fewest(found))
    sample = _sample(found)
    notes = [f"{dataset.name}: ignored, being no images: {listing.listed(found.ignored)}"] if found.ignored else []
    notes += [f"{dataset.name}: {pair} are two classes, whose names differ in case only" for pair in _alike(found.classes)]
    if len(sample) < len(images):
        notes.append(f"{dataset.name}: of {len(images):,} images the headers of {len(sample):,} are looked at, evenly chosen")
    signature = _signature(folder, facts)
    if memory is None or memory.signature() != signature:
        faults += _unreadable([path for path in sample if facts[path][0]], others[:MOST_HEADERS])
        if memory is not None and keep and not faults:
            memory.write(signature)
    return Look(folder=folder, faults=tuple(faults), notes=tuple(notes), files=found.train.files, name=dataset.name)


def _one_split(folder: Path) -> Iterator[str]:
    train, val = folder / listing.TRAIN, folder / listing.TEST
    if val.is_dir() and train.is_dir() and val.samefile(train):
        yield f"{shown(val)} is {shown(train)}: what is learned would be tested on itself"


def _alike(classes: Sequence[str]) -> Iterator[str]:
    first: dict[str, str] = {}
    for name in classes:
        if (other := first.setdefault(alike(name), name)) != name:
            yield f"'{shown(other)}' and '{shown(name)}'"


def _fewest(found: Listing) -> str:
    """`; in train 5 (ant) to 6 (bee) a class`, where classes differ."""
    counts = Counter(dict.fromkeys(range(len(found.classes)), 0))
    counts.update(found.train.labels)
    few, many = (choose(counts, key=counts.__getitem__, default=0) for choose in (min, max))
    if counts[few] == counts[many]:  # among them images without labels
        return ""
    return (
        f"; in train {counts[few]:,} ({shown(found.classes[few])}) to {counts[many]:,} ({shown(found.classes[many])}) a class"
    )


def _signature(folder: Path, facts: Mapping[str, tuple[int, int, int]]) -> str:
    """Of names, sizes and times below the folder."""
    sha, above = sha256(), len(os.fsencode(folder))
    for path, (size, time, _) in facts.items():
        sha.update(b"%b\0%d %d\n" % (os.fsencode(path)[above:], size, time))
    return sha.hexdigest()


def _sample(found: Listing) -> list[str]:
    """All images, or every so-manieth of a large folder and the first of each class: always the same ones."""
    every = -(-(len(found.train.files) + len(found.test.files)) // MOST_HEADERS)
    chosen = []
    for split in (found.train, found.test):
        before = (None, *split.labels)
        chosen += [path for i, path in enumerate(split.paths()) if i % every == 0 or before[i] != split.labels[i]]
    return chosen


def _unreadable(images: Sequence[str], others: Sequence[str]) -> Iterator[str]:
    """Faults of images that cannot be read, and of images that are not named as such."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of large images and odd tags
        with ThreadPoolExecutor(_THREADS) as pool:
            yield from filter(None, pool.map(_header, images))
            yield from filter(None, pool.map(_misnamed, others))


def _header(path: str) -> str:
    """What keeps the image from being read, or the empty string. Its pixels are not read where its end is there."""
    from PIL import UnidentifiedImageError

    try:
        with open(path, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            tail = file.read()
        with pictures.opened(path) as image:
            if _ENDS.get(str(image.format), tail + b".") not in tail:
                with _ONE_LARGE if image.width * image.height > _LARGE else nullcontext():
                    image.load()
    except UnidentifiedImageError:
        return f"{shown(path)} is no image that can be read: damaged, or something else under an image's name"
    except Exception as error:  # Pillow's readers raise whatever they come upon
        return f"cannot read the image {shown(path)}: {getattr(error, 'strerror', None) or error}"
    return ""


def _misnamed(path: str) -> str:
    from PIL import Image

    try:
        with Image.open(path, formats=_FORMATS) as image:
            sentence = f"{shown(path)} is an image ({image.format}) that would not be used"
            return f"{sentence}: let its name end in {', '.join(listing.IMAGES[:3])} or the like"
    except Exception:  # no image: ignored, which is told
        return ""


@dataclass(frozen=True)
class _Memory:
    """What is remembered of a folder in whose images nothing was wrong."""

    store: Store
    folder: Path
    splits: Splits

    def signature(self) -> str | None:
        return (read_json(self.store.look_of(self.folder, self.splits)) or {}).get("signature")

    def write(self, signature: str) -> None:
        """Where the store cannot be written to, the next look looks again."""
        file = self.store.look_of(self.folder, self.splits)
        with suppress(OSError):
            self.store.make()
            file.parent.mkdir(exist_ok=True)
            write_json(file, {"folder": shown(self.folder.absolute()), "signature": signature})


def _list_faults(path: Path, files: Sequence[str], amount: str, wanted: float, tolerance: float) -> list[str]:
    """Of a list of labelled images, held against the training images CLASS/FILE and what the Step says of their number."""
    try:
        count = len(label_lists.resolve(path, files))
    except DataError as error:
        return str(error).splitlines()
    if abs(count - wanted) <= tolerance:
        return []
    sentence = f"names {count:,} of {len(files):,} training images, but {amount} is {round(wanted):,}"
    return [f"{path}: {sentence}; say label_fraction = {number(count / len(files), 7)}, or name another list"]


def _amount(labels: LabelsConfig, dataset: DatasetConfig) -> tuple[str, float, float]:
    """What the Step says of its labelled images: in words, as their number, and how far off it may be.

    A share may be rounded in each class; beyond that, tables would name one amount and show the result of another."""
    classes = dataset.classes or 0
    if labels.fraction is None:
        return f"labels_per_class {labels.per_class}", labels.count(dataset.train_images, classes), 0
    return f"label_fraction {number(labels.fraction)}", labels.fraction * dataset.train_images, classes
