"""Files that want to harm: one sentence each, bounded memory, and nothing in them is executed."""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor

from simclr_spec.core.errors import WeightsError
from simclr_spec.train.weights.pickles import fault
from simclr_spec.train.weights.read import read
from tests.data.bundle.writing import write_bundle
from tests.train.weights.foreign import checkpoint, narrow, separius, variables, wish

MEGABYTE = 10**6
MOST = 150 * MEGABYTE
"""That a process may grow by, for a file of a few hundred kilobytes; torch's first use of what it has not loaded is in it."""
Write = Callable[[Path], object]


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


def refused(cases: list[tuple[str, int, Path]], folder: Path) -> list[tuple[str, int]]:
    """What a process of its own says of each, and how much it grew."""
    lines = "".join(json.dumps([layout, depth, str(path)]) + "\n" for layout, depth, path in cases)
    command = [sys.executable, "-m", "tests.train.weights.reading"]
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        command,
        input=lines,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": root},
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def test_hostile_files(tmp_path: Path) -> None:
    cases = []
    for number, (make, _) in enumerate(HOSTILE.values()):
        path = tmp_path / f"{number}.pth"
        path.write_bytes(make())
        cases.append(("separius", 50, path))
    (tmp_path / "good.pth").write_bytes(saved())
    (tmp_path / "good_old.pth").write_bytes(saved(zipped=False))
    good = [("separius", 50, tmp_path / "good.pth"), ("separius", 50, tmp_path / "good_old.pth")]
    *found, whole, old = refused([*cases, *good], tmp_path)
    assert (whole[0], old[0]) == ("", ""), "the limits are not what refuses"
    for (name, (_, expected)), (_, _, path), (said, grown) in zip(HOSTILE.items(), cases, found, strict=True):
        assert expected.format(path) in said, (name, said)
        assert str(path) in said, name
        assert "\n" not in said, name
        assert len(said) < 400, name
        assert grown < MOST, (name, grown)
    assert not (tmp_path / MARK).exists()


def test_these_files_would_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they are opened as pickles are."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(TOUCH, 2))
    assert (tmp_path / MARK).exists()
    (tmp_path / MARK).unlink()
    torch.load(io.BytesIO(saved(TOUCH)), weights_only=False)
    assert (tmp_path / MARK).exists()


def said(path: Path, layout: str, **weights: Any) -> str:
    """In this process."""
    with pytest.raises(WeightsError) as error:
        read(wish(weights.pop("encoder", narrow(50)), layout=layout, **weights), path, str)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value).replace(str(path), "FILE")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before-1.6"])
def test_a_cut_file(zipped: bool, tmp_path: Path) -> None:
    data, path = saved(zipped=zipped), tmp_path / "m.pth"
    for end in [*range(0, 40, 3), *np.linspace(40, len(data) - 1, 60, dtype=int), len(data) - 1]:
        path.write_bytes(data[:end])
        assert "FILE" in said(path, "separius")


def test_a_cut_safetensors_file(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"conv1.weight": torch.rand(2, 3, 7, 7), "bn1.weight": torch.rand(2)}, path)
    data = path.read_bytes()
    for end in range(0, len(data), 13):
        path.write_bytes(data[:end])
        assert said(path, "torchvision").startswith("FILE is no safetensors file")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before-1.6"])
def test_any_byte_may_be_another(zipped: bool, tmp_path: Path) -> None:
    """It is read, or refused in a sentence: nothing else happens."""
    data, path = saved(zipped=zipped), tmp_path / "m.pth"
    random = np.random.default_rng(0)
    for place in random.integers(0, len(data), 150):
        path.write_bytes(data[:place] + bytes([random.integers(256)]) + data[place + 1 :])
        with contextlib.suppress(WeightsError):
            read(wish(narrow(50), layout="separius"), path, str)


def test_a_header_without_end(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes((2**40).to_bytes(8, "little") + b"{}")
    assert said(path, "torchvision") == "FILE is no safetensors file, or damaged: its header would have 1.1 TB"


def test_what_is_no_file_and_a_header_that_is_there(tmp_path: Path) -> None:
    """A pipe would wait for somebody to write into it."""
    paths = {name: tmp_path / name for name in ("pipe.pth", "pipe.safetensors", "folder.pth", "header.safetensors")}
    for name in ("pipe.pth", "pipe.safetensors"):
        os.mkfifo(paths[name])
    paths["folder.pth"].mkdir()
    tensors = {f"t{number}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for number in range(300_000)}
    header = json.dumps(tensors, separators=(",", ":")).encode()
    paths["header.safetensors"].write_bytes(len(header).to_bytes(8, "little") + header)
    found = refused([("torchvision", 50, path) for path in paths.values()], tmp_path)
    assert [said.replace(f"{tmp_path}/", "") for said, _ in found] == [
        "cannot read pipe.pth: it is no regular file",
        "pipe.safetensors is no safetensors file, or damaged: it is no regular file",
        "cannot read folder.pth: it is no regular file",
        "header.safetensors is no safetensors file, or damaged: its header would have 18 MB",
    ]
    assert max(grown for _, grown in found) < MOST
    save_file({f"t{number}": torch.zeros(0) for number in range(20_001)}, tmp_path / "many.safetensors")
    assert said(tmp_path / "many.safetensors", "torchvision") == (
        "cannot read FILE: it names more than 20,000 tensors of 1,000 letters each, and no network does"
    )


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before-1.6"])
def test_what_harms_nobody(zipped: bool, tmp_path: Path) -> None:
    """A training's own file: its optimiser, numbers, lists, parameters, one storage in two tensors, and a module's metadata."""
    layer = torch.nn.Linear(3, 3)
    optimiser = torch.optim.Adam(layer.parameters())
    layer(torch.rand(2, 3)).sum().backward()
    optimiser.step()
    shared = torch.zeros(3, 4)
    more = {"optimizer": optimiser.state_dict(), "model": layer.state_dict(), "parameter": layer.weight, "rates": [0.1, (1, 2)]}
    (tmp_path / "m.pth").write_bytes(saved(zipped=zipped, epoch=10**20, views=[shared.T, shared[1:, ::2]], **more))
    tensors = read(wish(narrow(50), layout="separius"), tmp_path / "m.pth", str)
    assert torch.equal(tensors["classifier.bias"], small()["resnet"]["fc.bias"])


def test_a_state_dict_of_python_2(tmp_path: Path) -> None:
    """Its ordered tables are made of a list of pairs."""
    data = rezipped(bare({}), data_pkl=b"\x80\x02ccollections\nOrderedDict\n](](" + key("a") + b"Nee\x85R.")
    (tmp_path / "m.pth").write_bytes(data)
    assert torch.load(tmp_path / "m.pth", weights_only=True) == {"a": None}
    assert fault(tmp_path / "m.pth") == ("", True)


TWO_BY_TWO = np.zeros((2, 2), np.float32)
ODD = {
    "a step that is no number": ({"global_step": np.array(np.nan, np.float32)}, "is made of float32, and no train step is"),
    "a step without end": ({"global_step": np.array(np.inf)}, "is made of float64, and no train step is"),
    "half a step": ({"global_step": np.array(750.5)}, "is made of float64, and no train step is"),
    "a classifier of one number": ({"head_supervised/linear_layer/dense/kernel": np.array(1.0)}, "has no classifier"),
    "a classifier in three dimensions": (
        {"head_supervised/linear_layer/dense/kernel": np.zeros((64, 1, 10), np.float32)},
        "head_supervised/linear_layer/dense/kernel in FILE is [64, 1, 10], and does not fit classifier.weight",
    ),
    "two classifiers": (
        {"head_supervised/other/dense/kernel": TWO_BY_TWO},
        "two layers where a network has one: head_supervised/linear_layer/dense and head_supervised/other/dense",
    ),
    "two first convolutions": ({"base_model/a/conv2d/kernel": TWO_BY_TWO}, "two layers where a network has one: base_model/"),
    "two first BNs": ({"base_model/sync_batch_normalization/gamma": np.ones(2)}, "two layers where a network has one: base"),
    "two layers of the head": (
        {"head_contrastive/nl_0/other/dense/kernel": TWO_BY_TWO},
        "two layers where a network has one: head_contrastive/",
    ),
    "a convolution with a gamma": ({"base_model/conv2d_99/gamma": np.ones(2)}, "is of train step 250,228, and 751 is wanted"),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_checkpoints(case: str, tmp_path: Path) -> None:
    tensors, expected = ODD[case]
    step = {"global_step": np.array(751)} if "step" not in expected else {}
    path = checkpoint(tmp_path / "m", variables(narrow(50)), **step | tensors)
    assert expected in said(path, "tensorflow", train_step=751)


# ---------------------------------------------------------------------------------------------- what is not wanted of it


def test_another_network_than_wanted(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "m", variables(narrow(101, sk=True)))
    wanted = "and depth=50 width=1 sk=false of base_width 2 is wanted"
    assert said(path, "tensorflow") == f"FILE holds a ResNet-101 (2 channels, SK), {wanted}"
    assert said(path, "tensorflow", head_layers=8, encoder=narrow(101, sk=True)) == (
        "FILE holds 3 layers of the projection head, and head_layers = 8 is wanted"
    )
    assert said(path, "tensorflow", classes=1000, encoder=narrow(101, sk=True)) == (
        "FILE has a classifier of 10 classes, and one of 1,000 classes is wanted"
    )
    assert said(path, "tensorflow", train_step=751, encoder=narrow(101, sk=True)) == (
        "FILE is of train step 250,228, and 751 is wanted (train_step)"
    )
    assert said(path, "separius", encoder=narrow(101, sk=True)) == "cannot read FILE: No such file or directory"


def test_a_network_of_full_width(tmp_path: Path) -> None:
    """Its words are those of the paper."""
    path = tmp_path / "m.pth"
    torch.save(torchvision.models.resnet50(weights=None).state_dict(), path)
    deeper, selective = narrow(101, base_width=64), narrow(50, base_width=64, sk=True)
    for asked, found in ((deeper, "depth=101 width=1 sk=false"), (selective, "depth=50 width=1 sk=true")):
        assert said(path, "torchvision", encoder=asked) == f"FILE holds a ResNet-50 (1×), and {found} is wanted"
    assert said(path, "torchvision", encoder=narrow(50, base_width=64)) == (
        "FILE has no projection head, and head_layers = 3 is wanted"
    )


@pytest.mark.parametrize(("name", "depth"), [("resnet18", 18), ("resnet34", 34)])
def test_torchvisions_basic_networks(name: str, depth: int, tmp_path: Path) -> None:
    torch.save(torchvision.models.get_model(name, weights=None).state_dict(), tmp_path / "m.pth")
    assert said(tmp_path / "m.pth", "torchvision", encoder=narrow(depth, base_width=64)) == (
        f"FILE holds a ResNet-{depth} without a projection in its first group, which the network here has; "
        "take one of depth 50 or more"
    )


def test_what_a_checkpoint_has_not(tmp_path: Path) -> None:
    bare = checkpoint(tmp_path / "m", variables(narrow(50), None, None))
    assert said(bare, "tensorflow") == "FILE has no projection head, and head_layers = 3 is wanted"
    assert said(bare, "tensorflow", head_layers=0) == "FILE has no classifier, and one of 10 classes is wanted"
    write_bundle(tmp_path / "other", {f"dense_{k}/kernel": np.zeros((2, 2), np.float32) for k in range(5)})
    assert said(tmp_path / "other", "tensorflow") == (
        "FILE holds no network of layout 'tensorflow'; it has 'dense_0/kernel', 'dense_1/kernel', 'dense_2/kernel' and 2 more, "
        "and depth=50 width=1 sk=false of base_width 2 is wanted"
    )
    assert said(tmp_path / "nothing", "tensorflow") == "FILE is no checkpoint of TensorFlow: no nothing.index is there"
