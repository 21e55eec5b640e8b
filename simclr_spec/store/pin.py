"""Which images a data set means, said by their digest: written into a data-set file of the user's, told for a declared one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from simclr_spec.core.errors import SpecError, UsageError
from simclr_spec.core.files import write_atomic
from simclr_spec.data import digests
from simclr_spec.data.registry import LOADERS
from simclr_spec.data.splits import Splits
from simclr_spec.language import declared
from simclr_spec.language.dataset import read_dataset
from simclr_spec.language.document import parse
from simclr_spec.language.document.positions import STRING, scan
from simclr_spec.store.history import located, where
from simclr_spec.store.layout import Store

_SOURCE = "simclr-spec pin"


def pin_images(
    name: str, store: Store, roots: Sequence[str] = (), *, rehash: bool = False, tell: digests.Tell | None = None
) -> str:
    """What was done, or what to type. Raises DataError where the images are not there."""
    with located(store, ()):  # what is not written is counted
        _, facts = read_dataset(name, None)
    loader, dataset = facts["dataset.loader"].value, facts["dataset.name"].value
    if not LOADERS[loader].needs_digest:
        raise UsageError(f"nothing to pin: the loader {loader} reads known files only")
    splits = Splits.of(facts["dataset.classes"].value)
    folder = LOADERS[loader].find(dataset, where(store, (), roots), splits=splits)
    assert folder is not None
    cache = store.hashes_of(folder, splits) if store.path.is_dir() else None
    digest = LOADERS[loader].today(folder, cache, splits=splits, rehash=rehash, tell=tell)
    if not declared.is_path(name):
        return f"{folder}: name the images of {name} with --set dataset.digest={digest}"
    if facts["dataset.digest"].value == digest:
        return f"{name} says so already: digest {digest}"
    path = Path(name).resolve()
    mode = path.stat().st_mode
    write_atomic(path, with_digest(path.read_bytes(), digest, declared.is_json(name)))
    os.chmod(path, mode)
    return f"{name}: digest {digest}, of the images in {folder}; its Steps are new ones now"


def with_digest(file: bytes, digest: str, is_json: bool) -> bytes:
    """The data-set file with that digest, byte for byte the same elsewhere. Raises UsageError where none fits."""
    text = file.decode("utf-8")
    wanted: dict[str, Any] = {**_data(text, is_json), "digest": digest}
    for changed in _changed(text, digest, is_json):
        try:
            found = _data(changed, is_json)
        except SpecError:
            continue
        if {**found, "digest": _plain(found.get("digest"))} == wanted:
            return changed.encode()
    raise UsageError(f"found no place for the digest; write it by hand: digest = {digest}")


def _changed(text: str, digest: str, is_json: bool) -> Iterator[str]:
    """The text with the value replaced; or, if there is none, with a line more: last, or before the first key."""
    start = len(text) - len(text.removeprefix("\ufeff"))
    places = scan(text[start:], is_json)
    for path in (("digest", "value"), ("digest",)):
        if (offset := places.values.get(path)) is not None and (value := STRING.match(text, start + offset)):
            yield f"{text[: value.start()]}{json.dumps(digest)}{text[value.end() :]}"
    end = "\r\n" if "\r\n" in text else "\n"
    if is_json:
        yield text.replace("{", f'{{"digest": {{"value": "{digest}", "source": "{_SOURCE}", "status": "assumed"}},{end} ', 1)
        return
    line = f'digest = {{ value = "{digest}", source = "{_SOURCE}", status = "assumed" }}{end}'
    yield text + ("" if text.endswith("\n") else end) + line
    first = start + min(places.keys.values(), default=0)
    first = text.rfind("\n", 0, first) + 1 or start
    yield text[:first] + line + text[first:]


def _data(text: str, is_json: bool) -> dict[str, Any]:
    return parse(declared.File("", "x.json" if is_json else "x.toml", text)).data


def _plain(value: Any) -> Any:
    return value.get("value") if isinstance(value, dict) else value
