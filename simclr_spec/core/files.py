"""Files written whole or not at all, and read with a sentence for what is damaged; and what a disk that refuses says."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simclr_spec.core.errors import SimclrSpecError, UsageError

_REFUSALS = {
    errno.ENOSPC: "the disk is full: {} could not be written; free space",
    errno.EDQUOT: "your disk quota is used up: {} could not be written; free space",
    errno.EFBIG: "files may not become so large here: {} could not be written; raise the limit (ulimit -f)",
    errno.EROFS: "the file system is read-only: {} could not be written; mount it for writing",
    errno.EACCES: "cannot use {}: Permission denied; let its owner permit it",
}


def refusal(error: OSError, name: object = None) -> str:
    """What was refused and what helps, in a sentence that goes on; empty where it is no refusal of the disk or of its owner.

    `name`: instead of the error's own path."""
    what = name or error.filename or "a file"
    return _REFUSALS.get(error.errno or 0, "").format(os.fsdecode(what) if isinstance(what, bytes) else what)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """OSErrors name this path: those of a write name none, those of a temporary file its own."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def write_atomic(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write all of `data` to `path` or nothing: temporary file in the same folder, fsync, rename. OSErrors name the path.

    Not `durable`, without the fsync: for what a crash of the machine may take."""
    temporary = path.parent / f".{path.name}.{os.urandom(4).hex()}"
    try:
        with naming(path):
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # on a read-only file system not even what is not there can be deleted
            temporary.unlink()
        raise


def append_line(path: Path, line: str) -> None:
    """All of it at the end of the file, or nothing where the disk refuses. OSErrors name the path.

    A line that a crash tore stays a line of its own."""
    with naming(path), path.open("a+b", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - 1))
        torn = file.read(1) not in (b"", b"\n")
        left = b"\n" * torn + line.encode() + b"\n"
        try:
            while left:
                left = left[os.write(file.fileno(), left) :]
        except OSError:
            file.truncate(end)
            raise


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Atomic, indented, keys in the given order; NaN is refused."""
    write_atomic(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode(), durable=durable)


def write_output(name: str, content: str | bytes) -> None:
    """A user's file, all of it or nothing; what is no regular file, such as /dev/stdout, is written to. Raises UsageError."""
    path, data = Path(name), content.encode() if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            path.write_bytes(data)
        else:
            write_atomic(path.resolve(), data)
    except OSError as error:
        raise UsageError(f"cannot write {name}: {error.strerror}") from None


def read_json(path: Path, *keys: str) -> Any:
    """The table in the file, or None where it does not exist. Raises SimclrSpecError where it holds none or lacks a key."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise SimclrSpecError(f"{path} is damaged: it holds no JSON table. Delete it, and run its spec")
    if lacking := [key for key in keys if key not in value]:
        raise SimclrSpecError(f"{path} is damaged: it lacks {', '.join(lacking)}. Delete it, and run its spec")
    return value
