"""What the files of a data set hold, by digest: so that images that changed under the same names are seen. Loads no torch.

Each file's SHA-256 is remembered by its path, size, mtime and inode, in <store>/.data, a file for each folder of images: a line
of JSON (Known), then 48 bytes for each image file: 16 that tell path, size, mtime and inode, and its SHA-256.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import blake2b, sha256
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from simclr_spec.core.cores import cores
from simclr_spec.core.errors import DataError
from simclr_spec.core.files import write_atomic
from simclr_spec.core.words import shown, size
from simclr_spec.data import listing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Tell = Callable[[str], object]
_FORMAT = 1
_KEY, _RECORD = 16, 48
"""Bytes."""
_CHUNK = 200
"""Files that one thread takes at a time."""
_THREADS = 8
_FRESH_NS = 2 * 10**9
"""A file that changed so lately is not remembered: within its clock's tick it could change again and keep its mtime."""
_MANY_BYTES = 2 * 10**9
"""To be read: from here on a person is told why nothing else happens."""


@dataclass(frozen=True)
class Known:
    """The last look at a folder."""

    format: int
    files: int
    digest: str


def of_files(
    splits: Iterable[tuple[Sequence[str | Path], Sequence[int]]],
    cache: Path | None = None,
    *,
    rehash: bool = False,
    keep: bool = True,
    tell: Tell | None = None,
) -> str:
    """SHA-256 over the splits in turn: `(n,)` and a line end, each file's SHA-256, the labels as little-endian int64.

    `keep` remembers in the cache what was read. `tell` hears what takes long, and of images that are there twice where nobody
    would expect it."""
    splits = list(splits)
    known = {} if rehash or cache is None else _remembered(cache)
    started, files = time.time_ns(), _Files(known, tell)
    hashes = files.hashes([path for paths, _ in splits for path in paths])
    sha, at = sha256(), 0
    for paths, labels in splits:
        sha.update(f"({len(paths)},)\n".encode())
        sha.update(b"".join(hashes[at : at + len(paths)]))
        sha.update(b"".join(label.to_bytes(8, "little", signed=True) for label in labels))
        at += len(paths)
    if tell:
        for line in _twins(splits, hashes):
            tell(line)
    if cache is not None and keep and (files.read or len(files.keys) != len(known)):
        kept = [
            key + digest
            for key, mtime, digest in zip(files.keys, files.mtimes, hashes, strict=True)
            if mtime < started - _FRESH_NS
        ]
        _remember(cache, Known(_FORMAT, at, sha.hexdigest()), kept)
    return sha.hexdigest()


def of_arrays(splits: Iterable[tuple[NDArray[np.uint8], NDArray[np.int64]]]) -> str:
    """SHA-256 over the splits in turn: the pixels' shape and a line end, the pixels, the labels as little-endian int64."""
    sha = sha256()
    for pixels, labels in splits:
        sha.update(f"{pixels.shape}\n".encode())
        sha.update(pixels.data)
        sha.update(labels.astype("<i8").tobytes())
    return sha.hexdigest()


def _twins(splits: Sequence[tuple[Sequence[str | Path], Sequence[int]]], hashes: Sequence[bytes]) -> Iterator[str]:
    """Of the same bytes: test images that are trained on, training images that have two classes."""
    (train, labels), *others = splits
    first: dict[bytes, int] = {}
    mixed = [(i, j) for i, sha in enumerate(hashes[: len(train)]) if labels[j := first.setdefault(sha, i)] != labels[i]]
    test = [path for paths, _ in others for path in paths]
    known = [(i, first[sha]) for i, sha in enumerate(hashes[len(train) :]) if sha in first]
    for found, what, paths in (
        (known, "test images that are trained on", test),
        (mixed, "training images of two classes", train),
    ):
        if found:
            i, j = found[0]
            such = f"such as {shown(paths[i])}, which is {shown(train[j])}"
            yield f"{what}, byte for byte: {len(found):,} of {len(paths):,}, {such}"


def last_look(cache: Path) -> Known | None:
    """What the last look at a folder found; None where nobody has looked."""
    with suppress(FileNotFoundError), cache.open("rb") as file:
        return _head(file)
    return None


def wrong(name: str, found: str, declared: str) -> DataError:
    """Another data set than the declared one."""
    return DataError(
        f"data set '{name}' is not the declared one: its digest is {found}, declared is {declared}. Put the declared images "
        "there, or pin these with simclr-spec pin"
    )


class _Files:
    """Hashes of files, from what is `known` where nothing has changed."""

    def __init__(self, known: dict[bytes, bytes], tell: Tell | None) -> None:
        self.known, self.tell = known, tell
        self.keys: list[bytes] = []
        self.mtimes: list[int] = []
        self.read = 0
        """files that had to be read"""

    def hashes(self, paths: Sequence[str | Path]) -> list[bytes]:
        from concurrent.futures import ThreadPoolExecutor

        unread, total = [], 0
        for path, facts in zip(paths, listing.facts(paths), strict=True):
            self.keys.append(_key(path, facts))
            self.mtimes.append(facts[1])
            if self.keys[-1] not in self.known:
                unread.append(len(self.keys) - 1)
                total += facts[0]
        self.read = len(unread)
        if self.tell and total > _MANY_BYTES:
            self.tell(f"reading {len(unread):,} images ({size(total)}) once, to know them again")
        chunks = [[paths[i] for i in unread[at : at + _CHUNK]] for at in range(0, len(unread), _CHUNK)]
        with ThreadPoolExecutor(min(_THREADS, cores())) as pool:
            fresh = [sha for found in pool.map(_sha256s, chunks) for sha in found]
        known = {**self.known, **dict(zip((self.keys[i] for i in unread), fresh, strict=True))} if unread else self.known
        return [known[key] for key in self.keys]


def _key(path: str | Path, facts: tuple[int, int, int]) -> bytes:
    """What tells the file as it is now."""
    return blake2b(b"%d %d %d %s" % (*facts, os.fsencode(path)), digest_size=_KEY).digest()


def _sha256s(paths: Sequence[str | Path]) -> list[bytes]:
    """hashlib lets other threads run meanwhile."""
    found = []
    for path in paths:
        try:
            found.append(sha256(Path(path).read_bytes()).digest())
        except OSError as error:
            raise DataError(f"cannot read the image {shown(path)}: {error.strerror}") from None
    return found


def _head(file: BinaryIO) -> Known | None:
    with suppress(ValueError, TypeError):
        head = Known(**json.loads(file.readline(10_000)))
        return head if head.format == _FORMAT else None
    return None


def _remembered(cache: Path) -> dict[bytes, bytes]:
    """Key -> SHA-256; empty where there is nothing that can be used."""
    try:
        with cache.open("rb") as file:
            data = file.read() if _head(file) else b""
    except FileNotFoundError:
        return {}
    starts = range(0, len(data) - len(data) % _RECORD, _RECORD)
    return {data[at : at + _KEY]: data[at + _KEY : at + _RECORD] for at in starts}


def _remember(cache: Path, head: Known, records: Iterable[bytes]) -> None:
    """All or nothing. Where the store cannot be written to, the next look reads again."""
    with suppress(OSError):
        cache.parent.mkdir(exist_ok=True)
        write_atomic(cache, json.dumps(asdict(head)).encode() + b"\n" + b"".join(records))
