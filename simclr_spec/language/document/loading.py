"""Declared files and files of one's own, read and validated; and the files that they name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from simclr_spec.core.errors import SpecError, UsageError
from simclr_spec.language import declared
from simclr_spec.language.document.document import Document
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
    if name is None:
        return None
    if declared.is_path(name) and document.folder is not None:
        name = str(document.folder / name)
    try:
        declared.read(kind, name)
    except UsageError as error:
        raise SpecError([document.fault((kind,), str(error))]) from None
    return str(name)
