"""Files that want to harm: what is in each, and what is said of it."""

from __future__ import annotations

import codecs
import io
import os
import pickle
import zipfile
from collections.abc import Callable
from typing import Any

import torch
import torchvision
from torch import Tensor

from tests.train.weights.foreign import narrow, separius, variables


def small() -> dict[str, dict[str, Tensor]]:
    return separius(variables(narrow(50)))


class Call:
    """Unpickled, it calls a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def saved(*more: Any, zipped: bool = True, **tables: Any) -> bytes:
    """What torch.save writes of a network, and of what else it is given."""
    file, held = io.BytesIO(), dict[Any, Any](small() | tables)
    held.update(enumerate(more))
    torch.save(held, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def rezipped(data: bytes, how: int = zipfile.ZIP_STORED, **changed: bytes) -> bytes:
    """The same archive with other content in some files; `_` in a name is `/`."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w", how) as new:
        for entry in old.infolist():
            inside = entry.filename.partition("/")[2]
            new.writestr(entry.filename, changed.get(inside.replace("/", "_").replace(".", "_"), old.read(entry)))
    return file.getvalue()


def pickled(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))


def promising(data: bytes, numbers: int) -> bytes:
    """The first tensor of the network, of 7 x 7 x 3 x 2 = 294 numbers, says it had so many."""
    count = b"M" + (294).to_bytes(2, "little")
    assert count in data
    return data.replace(count, b"\x8a\x08" + numbers.to_bytes(8, "little"), 1)


def doubled(times: int) -> Any:
    """Each call makes twice as much of what the one before made."""
    value: Any = b"0" * 1000
    for _ in range(times):
        value = Call(codecs.encode, value, "hex")
    return value


def deep(depth: int) -> bytes:
    """Tuples in tuples, as the key of a table: whoever asks for its hash descends."""
    return b"\x80\x02}N" + b"\x85" * depth + b"Ns."


def key(name: str) -> bytes:
    return b"X" + len(name).to_bytes(4, "little") + name.encode()


def tuples() -> bytes:
    """Each has the one before twice, and the last is a key."""
    twice = b"".join(b"h%ch%c\x86q%c" % (depth, depth, depth + 1) for depth in range(60))
    return b"\x80\x02}" + b")q\0" + twice + b"Ns."


def of_one_hash() -> bytes:
    numbers = (number * (2**61 - 1) for number in range(1, 40_000))
    return b"\x80\x02}(" + b"".join(b"\x8a\x0b" + number.to_bytes(11, "little") + b"N" for number in numbers) + b"u."


def copied(first: bytes, again: bytes) -> bytes:
    """A table or list of 50,000 in the memo, and 20,000 times what copies it."""
    return b"\x80\x02ccollections\nOrderedDict\nq\1" + first + b"](" + again * 20_000 + b"e."


def tables_in_tables() -> dict[str, Any]:
    """The same in each: 60⁴ names."""
    value: Any = torch.zeros(1)
    for _ in range(4):
        value = {str(number): value for number in range(60)}
    return dict(value)


def bare(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def two_views() -> bytes:
    """Of one storage of 77 numbers."""
    numbers = torch.zeros(77)
    return bare([numbers[:3], numbers[:5]])


def larger(data: bytes) -> bytes:
    """The bias of the classifier, of 10 numbers, says it had two milliards of its storage's."""
    at = data.index(b"K\n\x85", data.index(b"fc.bias"))
    return data[:at] + b"J" + (2 * 10**9).to_bytes(4, "little") + data[at + 2 :]


def listing(files: int, *, large: int | None = None, place: int | None = None) -> bytes:
    """An archive with a list of so many files; what its records at the end say of it may be something else."""
    entry = b"PK\1\2" + bytes(24) + b"\4" + bytes(17) + b"name"
    start, length = 30, files * len(entry)
    end64 = b"PK\6\6" + (44).to_bytes(8, "little") + bytes(12)
    end64 += b"".join(number.to_bytes(8, "little") for number in (files, files, length if large is None else large, start))
    locator = b"PK\6\7" + bytes(4) + (start + length if place is None else place).to_bytes(8, "little") + b"\1\0\0\0"
    end = b"PK\5\6" + bytes(4) + b"\xff" * 4 + min(length, 2**32 - 1).to_bytes(4, "little") + b"\xff" * 4 + b"\0\0"
    return b"PK\3\4" + bytes(26) + entry * files + end64 + locator + end


def overlapping() -> bytes:
    """One file under many names, each of which says it is all of it."""
    data, file = bytes(10**6), io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(saved()))
        archive.writestr("archive/data/0", data)
        first = archive.getinfo("archive/data/0")
        for number in range(1, 3000):
            again = zipfile.ZipInfo(f"archive/data/{number}")
            again.header_offset, again.CRC = first.header_offset, first.CRC
            again.file_size = again.compress_size = first.file_size
            archive.filelist.append(again)
    return file.getvalue()


def changed(name: str, value: Callable[[Tensor], Tensor]) -> bytes:
    tables = small()
    part, _, tensor = name.partition(".")
    tables[part][tensor] = value(tables[part][tensor])
    file = io.BytesIO()
    torch.save(tables, file)
    return file.getvalue()


def giant(_: Tensor) -> Tensor:
    return torch.zeros(1).expand(10**6, 10**6)


def whole_module() -> bytes:
    file = io.BytesIO()
    torch.save(torch.nn.Sequential(torch.nn.Linear(2, 2)), file)
    return file.getvalue()


def script() -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.rand(1, 2)), file)  # type: ignore[no-untyped-call]
    return file.getvalue()


def others() -> bytes:
    file = io.BytesIO()
    torch.save(torchvision.models.squeezenet1_1(weights=None).state_dict(), file)
    return file.getvalue()


MARK = "executed"
ONE = torch.zeros(1)
TOUCH = Call(os.system, f"touch {MARK}")
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "a pickle that executes": (lambda: pickle.dumps(TOUCH, 2), "it would call posix.system"),
    "in newer words": (lambda: pickle.dumps(TOUCH, 4), "it has something else than tensors in it"),
    "beside tensors": (lambda: saved(TOUCH), "it would call posix.system"),
    "beside tensors, before 1.6": (lambda: saved(TOUCH, zipped=False), "it would call posix.system"),
    "among tensors": (lambda: saved(head={"layers.0.weight": TOUCH}), "it would call posix.system"),
    "eval": (lambda: saved(Call(eval, f"open('{MARK}', 'w')")), "it would call __builtin__.eval"),
    "a terabyte of bytes": (lambda: saved(Call(bytearray, 10**12)), "it would call __builtin__.bytearray"),
    "bytes that double": (lambda: saved(doubled(40)), "it would call _codecs.encode"),
    "a terabyte of numbers": (
        lambda: rezipped(saved(), data_pkl=promising(pickled(saved()), 10**12)),
        "it would take more memory than its own",
    ),
    "a terabyte, before 1.6": (lambda: promising(saved(zipped=False), 10**12), "it would take more memory than its own"),
    "more than its storage has": (
        lambda: rezipped(saved(), data_pkl=larger(pickled(saved()))),
        "a tensor of 2,000,000,000 numbers has 10 in it",
    ),
    "more than its storage has, before 1.6": (
        lambda: larger(saved(zipped=False)),
        "a tensor of 2,000,000,000 numbers has 10 in it",
    ),
    "a storage of two sizes": (
        lambda: rezipped(two_views(), data_pkl=b"KN".join(pickled(two_views()).rsplit(b"KM", 1))),
        "it names numbers in an odd way",
    ),
    "tables in tables": (lambda: bare(tables_in_tables()), "it has '0.0.0.0', '0.0.0.1', '0.0.0.2' and 57 more"),
    "many names": (
        lambda: bare({str(number): ONE for number in range(20_001)}),
        "it names more than 20,000 tensors of 1,000 letters each, and no network does",
    ),
    "a long name": (lambda: bare({"a" * 600: {"b" * 600: ONE}}), "it names more than 20,000 tensors of 1,000 letters"),
    "tuples in tuples": (lambda: rezipped(saved(), data_pkl=tuples()), "it names things in an odd way"),
    "numbers of one hash": (lambda: rezipped(saved(), data_pkl=of_one_hash()), "it names things in an odd way"),
    "a list that is copied": (
        lambda: rezipped(saved(), data_pkl=copied(b"](" + b"](K\1Ne" * 50_000 + b"eq\2\x85q\3", b"h\1h\3R")),
        "it would make more than a network has",
    ),
    "a table that is copied": (
        lambda: rezipped(
            saved(),
            data_pkl=copied(b"}(" + b"".join(key(f"{k}") + b"N" for k in range(50_000)) + b"uq\2", b"h\1)Rh\2b"),
        ),
        "it would make more than a network has",
    ),
    "many operations": (lambda: rezipped(saved(), data_pkl=b"\x80\x02](" + b"N" * 10**6 + b"e."), "it would make more than"),
    "nothing is there": (
        lambda: rezipped(saved(), data_pkl=b"\x80\x02h\1."),
        "it is damaged (a pickle takes what is not there)",
    ),
    "a tensor that is set": (
        lambda: rezipped(saved(), data_pkl=b"\x80\x02ctorch\nFloatStorage\n}b."),
        "it names tables in an odd way",
    ),
    "a storage by itself": (
        lambda: rezipped(saved(), data_pkl=b"\x80\x02ctorch\nFloatStorage\n\x8a\x05\0\0\0\0\1\x85R."),
        "it names tensors in an odd way",
    ),
    "a list of many files": (lambda: listing(1_500_000), "its list of files alone has 75 MB"),
    "another list of files": (lambda: listing(10, place=0), "its end is damaged; fetch it again"),
    "two lists of files": (lambda: listing(10, large=10), "its end is damaged; fetch it again"),
    "fewer than none": (lambda: promising(saved(zipped=False), 2**63 + 5), "it names numbers in an odd way"),
    "deep tuples": (lambda: rezipped(saved(), data_pkl=deep(10**6)), "it would make more than a network has"),
    "compressed": (lambda: rezipped(saved(), zipfile.ZIP_DEFLATED), "it is compressed, which torch never does"),
    "a zip bomb": (
        lambda: rezipped(saved(), zipfile.ZIP_DEFLATED, data_0=bytes(10**9)),
        "it is compressed, which torch never does",
    ),
    "a bomb of one block": (overlapping, "what it holds is larger than itself"),
    "a large pickle": (lambda: rezipped(saved(), data_pkl=bytes(10**7)), "its data.pkl of 10 MB names more than a network has"),
    "a tensor without end": (
        lambda: changed("resnet.net.0.0.weight", giant),
        "holds a network of 52 convolutions that is not known here",
    ),
    "a vector without end": (
        lambda: changed("resnet.net.0.1.0.weight", lambda _: torch.zeros(1).expand(10**12)),
        "resnet.net.0.1.0.weight in {} is [1000000000000], and does not fit encoder.stem.0.norm.weight, which is [2]",
    ),
    "not a number": (
        lambda: changed("resnet.net.4.blocks.2.net.4.weight", lambda t: t * torch.nan),
        "resnet.net.4.blocks.2.net.4.weight in {} has numbers that are not finite",
    ),
    "infinite in float32": (
        lambda: changed("head.layers.0.weight", lambda t: t.double() * 1e300),
        "head.layers.0.weight in {} has numbers that are not finite",
    ),
    "a negative variance": (
        lambda: changed("head.layers.1.running_var", lambda t: t - 10),
        "head.layers.1.running_var in {} has negative numbers, which no variance is",
    ),
    "whole numbers": (lambda: changed("resnet.fc.weight", Tensor.long), "resnet.fc.weight in {} is made of int64"),
    "a beta": (
        lambda: changed("head.layers.7.bias", lambda t: t + 1),
        "head.layers.7.bias in {} is not zero, and the network here has no head.layers.2.norm.bias",
    ),
    "a module": (whole_module, "it would call torch.nn.modules.container.Sequential"),
    "a program": (script, "it is a TorchScript archive, which holds a program"),
    "another network": (others, "holds no network of layout 'separius'; it has 'features.0.weight', 'features.0.bias', "),
    "a list": (lambda: rezipped(saved(), data_pkl=b"\x80\x02]q\x00."), "holds no network of layout 'separius'; it has nothing"),
    "a page": (lambda: b"<!DOCTYPE html><p>404", "it begins with b'<!DO'"),
    "nothing": (lambda: b"", "it begins with b''"),
}
