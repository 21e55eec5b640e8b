"""Output that is written bit by bit, and is whole or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import IO

from simclr_spec.core.errors import UsageError


@contextmanager
def streamed(name: str | None) -> Iterator[IO[bytes]]:
    """A user's file, or standard output without one: it has all in the end, and after an error nothing. Raises UsageError."""
    if name is None or (Path(name).exists() and not Path(name).is_file()):
        with TemporaryFile() as file:
            yield file
            file.seek(0)
            with nullcontext(sys.stdout.buffer) if name is None else open(name, "wb") as out:
                copyfileobj(file, out)
        return
    path = Path(name).resolve()
    temporary = path.parent / f".{path.name}.{os.urandom(4).hex()}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = temporary.open("xb")
    except OSError as error:
        raise UsageError(f"cannot write {name}: {error.strerror}") from None
    try:
        with opened:
            yield opened
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
