"""The published label lists, fetched once when asked: from the address that the data-set file declares, checked by SHA-256."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from simclr_spec.core.errors import DataError
from simclr_spec.core.files import write_atomic
from simclr_spec.core.words import number, shown
from simclr_spec.data.roots import data_roots, label_list, list_folders
from simclr_spec.language import dataset, declared
from simclr_spec.language.document import load

LARGEST = 100_000_000
"""Bytes that are read at most."""


def fetch_lists(roots: Sequence[str] = ()) -> Iterator[str]:
    """Gets every declared list that is not under a root yet; one line each."""
    found = data_roots(roots)
    for name in declared.names("dataset"):
        for listed in load("dataset", name, dataset.schema).data.get("label_lists", ()):
            digest, url = listed["list_digest"]["value"], listed["url"]
            try:
                yield f"{label_list(digest, found)}: already here"
            except DataError:
                yield f"{fetch(url, digest, list_folders(found)[0])}: fetched, {name} at {number(100 * listed['fraction'])} %"


def fetch(url: str, digest: str, folder: Path) -> Path:
    """The file at `url`, written into `folder` when its SHA-256 is `digest`. Raises DataError."""
    from hashlib import sha256
    from http.client import HTTPException
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=60) as response:
            data = response.read(LARGEST)
    except (OSError, ValueError, HTTPException) as error:
        raise DataError(f"cannot fetch {url}: {shown(str(error).strip())}") from None
    if (got := sha256(data).hexdigest()) != digest:
        raise DataError(f"{url} is not the published list: its SHA-256 is {got}, declared is {digest}; nothing written")
    path = folder / url.rpartition("/")[2]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from None
    return path
