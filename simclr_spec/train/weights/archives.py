"""The zip archive that torch.save writes since torch 1.6: its pickle, without trust in what it says of itself."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from simclr_spec.core.words import shown, size

BEGINS, UNKNOWN = b"PK\3\4", "it is no file of tensors that torch wrote"
AGAIN = "fetch it again, or have whoever made it save a plain state_dict"
_ENTRIES, _DIRECTORY_BYTES = 20_000, 2**22
_END, _LOCATOR, _END64 = 22, 20, 56
"""Bytes of the three records at the end, from the last to the first; archives that are not large may lack the other two."""


def pickle_of(path: Path, most: int) -> bytes:
    """Of at most so many bytes. Raises ValueError: what is wrong."""
    length = path.stat().st_size
    if (found := _directory(path, length)) > _DIRECTORY_BYTES:
        raise ValueError(f"{UNKNOWN}: its list of files alone has {size(found)}")
    try:
        with ZipFile(path) as archive:
            entries = archive.infolist()
            top = entries[0].filename.partition("/")[0] if entries else ""
            names = {entry.filename for entry in entries}
            if f"{top}/constants.pkl" in names:
                raise ValueError(f"it is a TorchScript archive, which holds a program; {AGAIN}")
            if f"{top}/data.pkl" not in names:
                raise ValueError(f"{UNKNOWN}: there is no data.pkl in it")
            _check_entries(entries, length)
            if (found := archive.getinfo(f"{top}/data.pkl").file_size) > most:
                raise ValueError(f"its data.pkl of {size(found)} names more than a network has; {AGAIN}")
            return archive.read(f"{top}/data.pkl")
    except (BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError) as error:
        raise ValueError(f"it is damaged ({shown(error)}); fetch it again") from None


def _directory(path: Path, length: int) -> int:
    """Bytes of its list of files, by the records at its end: whoever opens it parses all of them.

    Where there are two records, they stand one after the other and agree, so that every reader finds the same list."""
    with path.open("rb") as file:
        file.seek(max(0, length - _END - _LOCATOR - _END64))
        ends = file.read()
    end, locator, end64 = ends[-_END:], ends[-_END - _LOCATOR : -_END], ends[: -_END - _LOCATOR]
    if not end.startswith(b"PK\5\6") or end[20:] != b"\0\0":
        raise ValueError("its end is missing; fetch it again")
    found = int.from_bytes(end[12:16], "little")
    if not locator.startswith(b"PK\6\7"):
        return found
    large = int.from_bytes(end64[40:48], "little")
    place = int.from_bytes(locator[8:16], "little")
    if not end64.startswith(b"PK\6\6") or place != length - len(ends) or found not in (large, 2**32 - 1):
        raise ValueError("its end is damaged; fetch it again")
    return large


def _check_entries(entries: list[ZipInfo], length: int) -> None:
    if len(entries) > _ENTRIES:
        raise ValueError(f"{UNKNOWN}: an archive of {len(entries):,} files")
    if any(entry.compress_type != ZIP_STORED or entry.file_size != entry.compress_size for entry in entries):
        raise ValueError(f"it is compressed, which torch never does; {AGAIN}")
    if sum(entry.file_size for entry in entries) > length:
        raise ValueError(f"what it holds is larger than itself; {AGAIN}")
    if len({entry.filename.casefold() for entry in entries}) < len(entries):
        raise ValueError(f"two files in it have one name; {AGAIN}")
