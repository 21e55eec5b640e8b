"""A look at what torch.save wrote, before torch opens it: it is taken apart, and nothing of it is done.

torch itself, told `weights_only=True`, executes nothing, but would reserve whatever memory a file asks it for.
"""

from __future__ import annotations

import io
import pickletools
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from simclr_spec.core.words import shown, size

_PICKLE_BYTES = 2**21
_TUPLES = 30_000
_ENTRIES = 20_000
_PICKLES = 5
"""Of a file of before torch 1.6: a mark, a version, sizes of numbers, the tensors, the keys of their numbers."""
_WIDTHS = {"Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2, "Char": 1, "Byte": 1, "Bool": 1}
_STORAGES = {f"torch {name}Storage": width for name, width in _WIDTHS.items()}
_NAMED = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter", *_STORAGES}
_HARMLESS = {
    *("PROTO", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINSTRING", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "SETITEM", "SETITEMS", "APPEND", "APPENDS"),
    *("GLOBAL", "REDUCE", "BUILD", "BINPERSID"),
}
_UNKNOWN = "it is no file of tensors that torch wrote"
_AGAIN = "fetch it again, or have whoever made it save a plain state_dict"


def fault(path: Path) -> tuple[str, bool]:
    """What is wrong with it, or the empty string; and whether it is a zip archive, as it is since torch 1.6."""
    with path.open("rb") as file:
        begins, length = file.read(4), path.stat().st_size
        file.seek(max(0, length - 22))
        ends = file.read()
    try:
        if begins == b"PK\3\4":
            if not ends.startswith(b"PK\5\6") or ends[20:] != b"\0\0":
                raise ValueError("its end is missing; fetch it again")
            _look_through(_archived(path, length), 1, length)
            return "", True
        if begins[:1] != b"\x80":
            raise ValueError(f"{_UNKNOWN}: it begins with {begins!r}")
        with path.open("rb") as file:
            _look_through(file.read(_PICKLE_BYTES), _PICKLES, length)
        return "", False
    except ValueError as error:
        return str(error), False


def _archived(path: Path, length: int) -> bytes:
    """The pickle in a zip archive in which nothing is compressed."""
    try:
        with ZipFile(path) as archive:
            entries = archive.infolist()
            top = entries[0].filename.partition("/")[0] if entries else ""
            names = {entry.filename for entry in entries}
            if f"{top}/constants.pkl" in names:
                raise ValueError(f"it is a TorchScript archive, which holds a program; {_AGAIN}")
            if f"{top}/data.pkl" not in names:
                raise ValueError(f"{_UNKNOWN}: there is no data.pkl in it")
            _check_entries(entries, length)
            if (found := archive.getinfo(f"{top}/data.pkl").file_size) > _PICKLE_BYTES:
                raise ValueError(f"its data.pkl of {size(found)} names more than a network has; {_AGAIN}")
            return archive.read(f"{top}/data.pkl")
    except (BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError) as error:
        raise ValueError(f"it is damaged ({shown(error)}); fetch it again") from None


def _check_entries(entries: list[ZipInfo], length: int) -> None:
    if len(entries) > _ENTRIES:
        raise ValueError(f"{_UNKNOWN}: an archive of {len(entries):,} files")
    if any(entry.compress_type != ZIP_STORED or entry.file_size != entry.compress_size for entry in entries):
        raise ValueError(f"it is compressed, which torch never does; {_AGAIN}")
    if sum(entry.file_size for entry in entries) > length:
        raise ValueError(f"what it holds is larger than itself; {_AGAIN}")
    if len({entry.filename.casefold() for entry in entries}) < len(entries):
        raise ValueError(f"two files in it have one name; {_AGAIN}")


def _look_through(data: bytes, pickles: int, length: int) -> None:
    """Raises ValueError where they would do more than name tensors, or these have more numbers than the file has bytes."""
    stream, promised, tuples = io.BytesIO(data), dict[Any, int](), 0
    for _ in range(pickles):
        last: deque[Any] = deque(maxlen=8)
        memo: dict[Any, Any] = {}
        for op, argument in _operations(stream):
            if op == "GLOBAL" and argument not in _NAMED:
                raise ValueError(f"it would call {shown(argument).replace(' ', '.')}; {_AGAIN}")
            if op not in _HARMLESS:
                raise ValueError(f"it has something else than tensors in it ({op}); {_AGAIN}")
            if op == "BINPERSID":
                key, size_of = _storage([*last])
                promised[key] = max(size_of, promised.get(key, 0))
            tuples += op.startswith("TUPLE")
            if op in ("BINPUT", "LONG_BINPUT"):
                memo[argument] = last[-1]
            else:
                last.append(memo.get(argument) if op in ("BINGET", "LONG_BINGET") else (op,) if argument is None else argument)
        if tuples > _TUPLES or sum(promised.values()) > length:
            raise ValueError(f"it would take more memory than its own {size(length)}; {_AGAIN}")


def _storage(last: list[Any]) -> tuple[Any, int]:
    """Key and bytes of the numbers that were named last: a tuple of a word, their type, key, place and how many they are."""
    named = last[:-2] if last[-2:-1] == [("NONE",)] else last[:-1]
    if last[-1:] == [("TUPLE",)] and len(named) > 5 and named[-6:-4] == [("MARK",), "storage"]:
        kind, key, _, numbers = named[-4:]
        if kind in _STORAGES and isinstance(numbers, int) and numbers >= 0:
            return key, numbers * _STORAGES[kind]
    raise ValueError(f"{_UNKNOWN}: it names numbers in an odd way")


def _operations(stream: io.BytesIO) -> Iterator[tuple[str, Any]]:
    try:
        for op, argument, _ in pickletools.genops(stream):
            yield op.name, argument
    except ValueError as error:
        raise ValueError(f"it is damaged ({shown(error)[:100]}); fetch it again") from None
