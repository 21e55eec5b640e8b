"""Which images a folder holds: train/CLASS/FILE and val/CLASS/FILE, by names alone, so nothing here loads torch.

What a person does not mean to lie there (hidden files, a file browser's litter) is as if it were not there. Everything else is
an image of a class, or named: as a fault where an image, a class or a folder would go unused, else as ignored.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simclr_spec.core.errors import DataError, did_you_mean
from simclr_spec.core.words import alike, composed, counted, plural, shown
from simclr_spec.data.splits import Counts, Splits

TRAIN, TEST = "train", "val"
"""The folders of both splits."""
FOLDERS = {Splits.TRAIN: TRAIN, Splits.TEST: TEST}
IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
"""Suffixes of images that are read, in any case."""
FOREIGN = (".heic", ".heif", ".avif", ".jxl", ".jp2", ".jfif", ".tga", ".psd", ".svg", ".cr2", ".nef", ".arw", ".dng")
"""Suffixes of pictures that are not read: ignoring them would lose images."""
LITTER = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "lost+found"}
"""What file browsers leave behind, besides hidden files."""
_THREADS, _CHUNK = 16, 1000
"""That ask for facts; files that one of them takes at a time."""
_NAMED = 3
"""Of several paths so many are named."""


@dataclass(frozen=True)
class Split:
    """Images in the order of their classes, then of their names."""

    folder: Path
    files: tuple[str, ...]
    """CLASS/FILE"""
    labels: tuple[int, ...]

    def paths(self) -> list[str]:
        """As text: of millions, Paths would fill the memory."""
        return [f"{self.folder}/{file}" for file in self.files]


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Both splits of an image folder; a label is a place in `classes`."""

    classes: tuple[str, ...]
    train: Split
    test: Split
    faults: tuple[str, ...] = ()
    """sentences: why these splits are not what the folder is meant to hold"""
    ignored: tuple[Path, ...] = ()
    """files that are no images by their names, and folders without any"""
    splits: Splits = Splits.BOTH
    """that were looked for; another is empty"""

    @property
    def counts(self) -> Counts:
        train, test, classes = len(self.train.files), len(self.test.files), len(self.classes)
        match self.splits:
            case Splits.TRAIN:
                return Counts(train, None, None)
            case Splits.TEST:
                return Counts(None, test, classes)
        return Counts(train, test, classes)


@dataclass
class _Found:
    """What lies in a folder, names sorted."""

    folder: Path
    folders: list[Path] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    """names alone: there may be millions"""
    foreign: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """path and reason of what is neither file nor folder, or cannot be looked into"""

    @property
    def is_empty(self) -> bool:
        """Nothing in it is an image, or may be one of which something else is told."""
        return not (self.images or self.foreign or self.folders or self.broken)


def scan(folder: Path, *, splits: Splits = Splits.BOTH) -> Listing:
    """The images of a folder, and the faults of the rest. Raises no error."""
    return _classified(folder, splits) if Splits.TEST in splits else _pile(folder)


def _pile(folder: Path) -> Listing:
    """All images below train/; their labels are -1."""
    files, faults, ignored = below(folder / TRAIN)
    train, test = Split(folder / TRAIN, tuple(files), (-1,) * len(files)), Split(folder / TEST, (), ())
    return Listing(classes=(), train=train, test=test, faults=tuple(faults), ignored=tuple(ignored), splits=Splits.TRAIN)


def below(folder: Path) -> tuple[list[str], list[str], list[Path]]:
    """Images at any depth, sorted, as paths from there; the faults of the rest; and what is ignored, being no images."""
    members: list[_Found] = []
    todo, seen = [folder], set()
    while todo:
        if (real := os.path.realpath(place := todo.pop())) not in seen:  # links may lead back
            seen.add(real)
            members.append(_look(place))
            todo += members[-1].folders
    files = sorted(
        f"{member.folder.relative_to(folder)}/{name}".removeprefix("./") for member in members for name in member.images
    )
    broken = [reason for member in members for reason in member.broken]
    faults = [] if files or broken else [f"{shown(folder)} holds no image"]
    return files, [*faults, *_foreign(members), *broken], _all(members, "others")


def _classified(folder: Path, splits: Splits) -> Listing:
    """The classes are those of train, or of val where that is all that is looked for."""
    above = {FOLDERS[split]: _look(folder / FOLDERS[split]) for split in splits}
    classes = tuple(path.name for path in next(iter(above.values())).folders)
    inside = {split: {path.name: _look(path) for path in found.folders} for split, found in above.items()}
    members = [member for split in inside.values() for member in split.values()]
    nested = {path: _holds_images(path) for member in members for path in member.folders}
    counts = {name: len(member.images) for name, member in inside[TEST].items()}
    faults = [*_classes(folder, classes, counts), *_empty(folder, classes, inside)]
    for split, found in above.items():
        faults += _beside(folder / split, found)
    faults += _nested(path for path, used in nested.items() if used)
    everything = [*above.values(), *members]
    faults += _foreign(everything)
    faults += [reason for member in everything for reason in member.broken]
    ignored = _all(everything, "others")
    ignored += [path for path, used in nested.items() if not used]
    train, test = (_split(folder / split, classes, inside.get(split, {})) for split in (TRAIN, TEST))
    return Listing(classes=classes, train=train, test=test, faults=tuple(faults), ignored=tuple(ignored), splits=splits)


def _split(folder: Path, classes: Sequence[str], inside: dict[str, _Found]) -> Split:
    files, labels = [], []
    for label, name in enumerate(classes):
        images = inside[name].images if name in inside else []
        files += [f"{name}/{image}" for image in images]
        labels += [label] * len(images)
    return Split(folder, tuple(files), tuple(labels))


def _look(folder: Path) -> _Found:
    found = _Found(folder)
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        found.broken.append(f"{shown(folder)} cannot be looked into: {error.strerror}")
        return found
    for entry in entries:
        if not is_hidden(entry.name):
            _sort(entry, folder, found)
    return found


def _sort(entry: os.DirEntry[str], folder: Path, found: _Found) -> None:
    """Links count as what they lead to."""
    suffix = os.path.splitext(entry.name)[1].lower()
    try:
        if suffix in IMAGES and entry.is_file():
            found.images.append(entry.name)
        elif entry.is_dir():
            found.folders.append(folder / entry.name)
        elif entry.is_file():
            (found.foreign if suffix in FOREIGN else found.others).append(folder / entry.name)
        elif entry.is_symlink():
            found.broken.append(f"{shown(entry.path)} is a link to {shown(os.readlink(entry.path))}, which is not there")
        else:
            found.broken.append(f"{shown(entry.path)} is neither a file nor a folder")
    except OSError as error:
        found.broken.append(f"{shown(entry.path)} cannot be followed: {error.strerror}")


def is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in LITTER


def _holds_images(folder: Path) -> bool:
    """At any depth; what cannot be told (a link, a folder that cannot be opened) counts as images."""
    unsure: list[OSError] = []
    for above, folders, files in os.walk(folder, onerror=unsure.append):
        folders[:] = [name for name in folders if not is_hidden(name)]
        if any(os.path.islink(os.path.join(above, name)) for name in folders):
            return True
        if any(Path(name).suffix.lower() in IMAGES + FOREIGN for name in files if not is_hidden(name)):
            return True
    return bool(unsure)


def _classes(folder: Path, classes: Sequence[str], counts: Mapping[str, int]) -> Iterator[str]:
    """The class sets of both splits, compared by name; `counts` has the images of each class of the test split."""
    train, test = folder / TRAIN, folder / TEST
    unknown, lacking = sorted(counts.keys() - set(classes)), [name for name in classes if name not in counts]
    near = {alike(name): name for name in lacking}
    for name in [name for name in unknown if alike(name) in near]:
        other = near[alike(name)]
        what = "the encoding of their accents" if composed(name) == composed(other) else "case"
        yield f"{shown(test / name)} and {shown(train / other)} differ only in {what}: give the class one name"
        unknown.remove(name)
        lacking.remove(other)
    for name in unknown[:_NAMED]:
        hint = did_you_mean(name, lacking)
        unused = f"its {counted(counts[name], 'image')} would not be used"
        yield f"{shown(test / name)} is no class of the training split ({shown(train)}): {unused}{hint}"
    if len(unknown) > _NAMED:
        yield f"{shown(test)} has {len(unknown) - _NAMED:,} more folders that are no classes of the training split"
    if lacking:
        names = listed([f"'{name}'" for name in lacking])
        lack = f"no folder {names}, a class" if len(lacking) == 1 else f"no folders {names}, classes"
        yield f"{shown(test)} has {lack} of the training split ({shown(train)})"


def _empty(folder: Path, classes: Sequence[str], inside: dict[str, dict[str, _Found]]) -> Iterator[str]:
    if not classes:
        yield f"{shown(folder / next(iter(inside)))} has no folder of a class"
    for split, found in inside.items():
        without = [folder / split / name for name in classes if name in found and found[name].is_empty]
        where = " from both splits" if len(inside) > 1 else ""
        yield from _named(f"{{}} without an image: add some, or remove {{}}{where}", without, "class")


def _beside(split: Path, found: _Found) -> Iterator[str]:
    if found.images:
        images = f"{counted(len(found.images), 'image')} outside of the folders of classes"
        yield f"{shown(split)} holds {images}, not used there: {listed(found.images)}"


def _nested(folders: Iterable[Path]) -> Iterator[str]:
    sentence = "{} inside the folder of a class, with images that would not be used: move them up into the class"
    return _named(sentence, list(folders), "folder")


def _foreign(found: Iterable[_Found]) -> Iterator[str]:
    return _named("{} of a kind that is not read: convert {} to JPEG or PNG", _all(found, "foreign"), "image")


def _named(sentence: str, paths: Sequence[Path], what: str) -> Iterator[str]:
    """One sentence for all paths; its first gap takes them, a second one `it` or `them`."""
    if paths:
        subject = f"{shown(paths[0])} is a{'n' * (what[0] in 'aeiou')} {what}"
        if len(paths) > 1:
            subject = f"{listed(paths)} are {plural(what)}"
        yield sentence.format(subject, "it" if len(paths) == 1 else "them")


def facts(paths: Sequence[str | Path]) -> Iterator[tuple[int, int, int]]:
    """Bytes, mtime in ns and inode of each file; one after another takes minutes on network drives. Raises DataError."""
    from concurrent.futures import ThreadPoolExecutor

    chunks = (paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK))
    with ThreadPoolExecutor(_THREADS) as pool:
        for found in pool.map(_facts, chunks):
            yield from found


def _facts(paths: Sequence[str | Path]) -> list[tuple[int, int, int]]:
    found = []
    for path in paths:
        try:
            now = os.stat(path)
        except OSError as error:
            raise DataError(f"cannot read the image {shown(path)}: {error.strerror}") from None
        found.append((now.st_size, now.st_mtime_ns, now.st_ino))
    return found


def listed(paths: Sequence[Path | str]) -> str:
    """The first few, and how many more."""
    names = ", ".join(map(shown, paths[:_NAMED]))
    return f"{names} and {len(paths) - _NAMED:,} more" if len(paths) > _NAMED else names


def _all(found: Iterable[_Found], kind: str) -> list[Path]:
    return [path for member in found for path in getattr(member, kind)]
