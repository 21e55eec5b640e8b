"""Files written whole or not at all, and read with a sentence for what is damaged."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from simclr_spec.core.errors import SimclrSpecError, UsageError


def write_atomic(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write all of `data` to `path` or nothing: temporary file in the same folder, fsync, rename. OSErrors name the path.

    Not `durable`, without the fsync: for what a crash of the machine may take."""
    temporary = path.parent / f".{path.name}.{os.urandom(4).hex()}"
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Atomic, indented, keys in the given order; NaN is refused."""
    write_atomic(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode(), durable=durable)


def write_output(name: str, text: str) -> None:
    """A user's file, all of it or nothing; what is no regular file, such as /dev/stdout, is written to. Raises UsageError."""
    path = Path(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
        else:
            write_atomic(path.resolve(), text.encode())
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
