"""Declared files and files of one's own, read and validated; and the files that they name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from simclr_spec.core.errors import SpecError, UsageError
from simclr_spec.language import declared
from simclr_spec.language.document.document import Document
from simclr_spec.language.document.positions import Path as At
from simclr_spec.language.document.reading import parse
from simclr_spec.language.document.validation import faults
from simclr_spec.language.document.validator import validator


def load(kind: declared.FileKind, name: str, schema: Callable[[], dict[str, Any]], folder: Path | None = None) -> Document:
    """Read and validate a declared file or a path. SpecError: every fault. UsageError: no such file, or another kind's."""
    document = parse(declared.read(kind, name, folder))
    if found := faults(document, validator(schema)):
        from simclr_spec.language.document.kinds import mistaken  # the kinds of stage take time to import

        if sentence := mistaken(document.file, document.data, kind):
            raise UsageError(sentence)
        raise SpecError(found)
    return document


def referred(document: Document, kind: declared.FileKind) -> str | None:
    """The file that the document's key `kind` names: declared, or a path that starts beside the document. Raises SpecError."""
    name = document.data.get(kind)
    return None if name is None else _referred(document, kind, name, (kind,))


def all_referred(document: Document, kind: declared.FileKind, key: str) -> list[str]:
    """The same for a key that names one file, or a list of them."""
    value = document.data.get(key, [])
    if isinstance(value, str):
        return [_referred(document, kind, value, (key,))]
    return [_referred(document, kind, name, (key, i)) for i, name in enumerate(value)]


def _referred(document: Document, kind: declared.FileKind, name: str, at: At) -> str:
    if declared.is_path(name) and document.folder is not None:
        name = str(document.folder / name)
    try:
        declared.read(kind, name)
    except UsageError as error:
        raise SpecError([document.fault(at, str(error))]) from None
    return name
