"""Whole checkpoints: what is found and read, and every way in which a file can be wrong."""

from __future__ import annotations

import os
import re
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from simclr_spec.core.errors import WeightsError
from simclr_spec.data.bundle import index
from simclr_spec.data.bundle.bundle import Bundle, find
from simclr_spec.data.bundle.crc32c import crc32c
from simclr_spec.data.bundle.table import FOOTER
from tests.data.bundle import writing
from tests.data.bundle.writing import entry, field, header, object_graph, write_bundle

TENSORS: dict[str, NDArray[Any]] = {
    "base_model/conv2d/kernel": np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4),
    "base_model/conv2d_1/kernel": np.ones((1, 1, 4, 2), np.float64),
    "global_step": np.array(250228),
    "half": np.linspace(0, 1, 5, dtype=np.float16),
    "nothing": np.zeros((0, 3), np.float32),
}
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
INF = 2**64 - 1


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "model.ckpt-7", TENSORS)
    return tmp_path / "model.ckpt-7"


def index_of(prefix: Path, *items: tuple[bytes, bytes], first: bytes | None = None, data: bytes = bytes(64)) -> None:
    """An index that says what it is told to, and one shard."""
    described = [(b"", header(1) if first is None else first), *items]
    Path(f"{prefix}.index").write_bytes(writing.table(described))
    Path(f"{prefix}.data-00000-of-00001").write_bytes(data)


def same(bundle: Bundle) -> bool:
    """All tensors are as they were written."""
    return set(bundle.shapes) == set(TENSORS) and all(bundle.read(n).tobytes() == v.tobytes() for n, v in TENSORS.items())


@pytest.mark.parametrize(("shards", "block"), [(1, 2**18), (3, 50)])
def test_tensors_come_back(shards: int, block: int, tmp_path: Path) -> None:
    files = write_bundle(tmp_path / "m", TENSORS, shards=shards, block=block)
    bundle = Bundle(tmp_path / "m")
    assert bundle.files == files
    assert bundle.shapes == {name: value.shape for name, value in TENSORS.items()}
    for name, value in TENSORS.items():
        np.testing.assert_array_equal(bundle.read(name), value, strict=True)
    bundle.read("half")[:] = 0  # they are one's own


def test_what_can_be_named(prefix: Path, tmp_path: Path) -> None:
    for name in (prefix, Path(f"{prefix}.index")):
        found = find(name)
        assert found is not None
        assert found.files[0] == Path(f"{prefix}.index")
    (tmp_path / "saved" / "variables").mkdir(parents=True)
    write_bundle(tmp_path / "saved" / "variables" / "variables", TENSORS)
    found = find(tmp_path / "saved")
    assert found is not None
    assert same(found)
    with pytest.raises(WeightsError, match=r"a: File name too long$"):
        find(tmp_path / ("a" * 300))
    for other in (tmp_path, tmp_path / "no", Path(f"{prefix}.data-00000-of-00001"), Path("/"), Path()):
        assert find(other) is None


def test_an_index_is_parsed_once(prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks for its files and then for its tensors; another index is another one, whatever its name."""
    real, parsed = index.read, list[bytes]()

    def read(data: bytes) -> tuple[int, dict[str, index.Entry]]:
        parsed.append(data)
        return real(data)

    monkeypatch.setattr(index, "read", read)
    write_bundle(prefix, TENSORS | {"one": np.ones(1)})
    assert [set(Bundle(prefix).shapes) for _ in range(3)] == [{*TENSORS, "one"}] * 3
    assert len(parsed) == 1
    write_bundle(prefix, TENSORS | {"two": np.ones(1)})
    assert set(Bundle(prefix).shapes) == {*TENSORS, "two"}


def test_bfloat16_is_widened(tmp_path: Path) -> None:
    data = np.array([0x3FC0, 0xC000, 0x7F80], "<u2").tobytes()
    index_of(tmp_path / "m", (b"b", entry(writing.BFLOAT16, (3,), 0, 0, 6, crc32c(data))), data=data)
    np.testing.assert_array_equal(Bundle(tmp_path / "m").read("b"), np.array([1.5, -2, np.inf], np.float32), strict=True)


def test_only_its_own_bytes_are_read(prefix: Path) -> None:
    """Another tensor may be damaged."""
    shard = Bundle(prefix).files[1]
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    assert Bundle(prefix).read("base_model/conv2d/kernel").sum() == 276
    with pytest.raises(WeightsError, match=rf"^cannot read {shard}: the checksum of 'half' differs; fetch it again$"):
        Bundle(prefix).read("half")


def test_full_names_of_objects(tmp_path: Path) -> None:
    """Where two objects have the same full name, as many that nobody named have, each keeps its path."""
    keys = {f"layers/0{VALUE}": "base_model/conv2d/kernel", f"layers/1{VALUE}": "gamma:0"}
    keys |= {f"a{VALUE}": "Variable", f"b{VALUE}": "Variable", f"c{VALUE}": "", f"nowhere{VALUE}": "d"}
    tensors = {key: np.array(number) for number, key in enumerate(keys) if "nowhere" not in key}
    write_bundle(tmp_path / "m", {**tensors, "plain": np.array(9)}, graph=object_graph(keys))
    bundle = Bundle(tmp_path / "m")
    assert set(bundle.shapes) == {"base_model/conv2d/kernel", "gamma", "a", "b", "c", "plain"}
    assert [int(bundle.read(name)) for name in ("base_model/conv2d/kernel", "gamma", "a", "b", "c")] == [0, 1, 2, 3, 4]


def test_an_unknown_name(prefix: Path) -> None:
    with pytest.raises(WeightsError, match=rf"^{prefix}\.index has no tensor 'globalstep'; did you mean 'global_step'\?$"):
        Bundle(prefix).read("globalstep")


def test_no_flipped_bit_goes_unnoticed(prefix: Path) -> None:
    """Or it lies where nobody looks, and everything reads as it was written."""
    index, shard = Bundle(prefix).files
    unnoticed = {index: 0, shard: 0}
    for file in unnoticed:
        whole = file.read_bytes()
        for at in range(len(whole)):
            for bit in (1, 16, 128):
                file.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
                try:
                    assert same(Bundle(prefix))
                    unnoticed[file] += 1
                except WeightsError as error:
                    assert str(error).startswith(f"cannot read {file}: ")  # noqa: PT017
        file.write_bytes(whole)
    assert unnoticed[shard] == 0
    assert unnoticed[index] < 3 * (FOOTER + len(writing.EMPTY))


def test_no_truncation_goes_unnoticed(prefix: Path) -> None:
    for file in Bundle(prefix).files:
        whole = file.read_bytes()
        for length in range(len(whole)):
            file.write_bytes(whole[:length])
            with pytest.raises(WeightsError, match=f"^cannot read {file}: it "):
                Bundle(prefix)
        file.write_bytes(whole)


def test_files_that_are_not_there(prefix: Path, tmp_path: Path) -> None:
    shard = Bundle(prefix).files[1]
    shard.unlink()
    told = "there is no such file; fetch it, into the folder of the others"
    with pytest.raises(WeightsError, match=f"^cannot read {shard}: {told}$"):
        Bundle(prefix)
    os.mkfifo(shard)
    with pytest.raises(WeightsError, match=f"^cannot read {shard}: {told}$"):
        Bundle(prefix)
    with pytest.raises(WeightsError, match=rf"^cannot read {tmp_path}/other\.index: {told}$"):
        Bundle(tmp_path / "other")


def test_a_shard_that_shrinks_while_it_is_read(prefix: Path) -> None:
    bundle = Bundle(prefix)
    os.truncate(bundle.files[1], 100)
    with pytest.raises(WeightsError, match=r"00001: it became shorter meanwhile$"):
        bundle.read("half")


ONE = entry(1, (4,), 0, 0, 16, 0)
HUGE = 2**62
CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no header": (
        lambda p: Path(f"{p}.index").write_bytes(writing.table([(b"a", ONE)])),
        "it does not begin with the header of a checkpoint",
    ),
    "big-endian": (
        lambda p: index_of(p, first=header(1, endianness=1)),
        "it was written on a big-endian computer, which is not read",
    ),
    "of the future": (lambda p: index_of(p, first=header(1, newest=2)), "it needs a newer reader than this one"),
    "endless shards": (
        lambda p: index_of(p, first=header(INF)),
        "there is no such file; fetch it, into the folder of the others",
    ),
    "no shards": (lambda p: index_of(p, (b"a", ONE), first=header(0)), "'a' lies in shard 0 of 0"),
    "another shard": (lambda p: index_of(p, (b"a", entry(1, (4,), 1, 0, 16, 0))), "'a' lies in shard 1 of 1"),
    "a header of nonsense": (lambda p: index_of(p, first=b"\x0b"), "a field is of the unknown type 3"),
    "shards that are text": (lambda p: index_of(p, first=field(1, b"x")), "field 1 is no number"),
    "a shape that is a number": (lambda p: index_of(p, (b"a", field(1, 1) + field(2, 3))), "field 2 is a number"),
    "a negative offset": (
        lambda p: index_of(p, (b"a", entry(1, (4,), 0, 2**64 - 16, 16, 0))),
        f"it is cut short, at 64 of {2**64:,} bytes; fetch it again",
    ),
    "an offset beyond": (
        lambda p: index_of(p, (b"a", entry(1, (4,), 0, HUGE, 16, 0))),
        f"it is cut short, at 64 of {HUGE + 16:,} bytes; fetch it again",
    ),
    "overlapping tensors": (
        lambda p: index_of(p, (b"a", ONE), (b"b", entry(1, (4,), 0, 12, 16, 0))),
        "'a' and 'b' overlap",
    ),
    "the same place twice": (lambda p: index_of(p, (b"a", ONE), (b"b", ONE)), "'a' and 'b' overlap"),
    "another size than its shape": (
        lambda p: index_of(p, (b"a", entry(1, (4,), 0, 0, 12, 0))),
        "'a' of shape (4,) has 12 bytes",
    ),
    "a negative extent": (lambda p: index_of(p, (b"a", entry(1, (INF,), 0, 0, 16, 0))), "a tensor has an impossible shape"),
    "an overflowing shape": (
        lambda p: index_of(p, (b"a", entry(1, (2**32, 2**32), 0, 0, 0, 0))),
        "a tensor has an impossible shape",
    ),
    "an overflowing shape of nothing": (
        lambda p: index_of(p, (b"a", entry(1, (0, 2**63, 2**63), 0, 0, 0, 0))),
        "a tensor has an impossible shape",
    ),
    "many dimensions": (lambda p: index_of(p, (b"a", entry(1, (1,) * 33, 0, 0, 4, 0))), "a tensor has an impossible shape"),
    "a giant": (
        lambda p: index_of(p, (b"a", entry(1, (2**38,), 0, 0, 2**40, 0))),
        "'a' of 1.1 TB is none of a network",
    ),
    "slices": (
        lambda p: index_of(p, (b"a", ONE + field(7, b""))),
        "'a' is stored in slices, which are not read; save it without partitions",
    ),
    "a slice": (
        lambda p: index_of(p, (b"\0\xff", ONE)),
        "a tensor is stored in slices, which are not read; save it without partitions",
    ),
    "a name of no text": (lambda p: index_of(p, (b"\xff", ONE)), "a name is no UTF-8 text"),
    "a name that a terminal would obey": (
        lambda p: index_of(p, (b"a\x1b[2J\n", entry(1, (4,), 9, 0, 16, 0))),
        r"'a\x1b[2J\n' lies in shard 9 of 1",
    ),
    "a graph of numbers": (
        lambda p: index_of(p, (writing.GRAPH.encode(), ONE)),
        "its graph of objects is not one text of moderate length",
    ),
    "a giant graph": (
        lambda p: _sparse(p, (writing.GRAPH.encode(), entry(7, (), 0, 0, 9_000_000, 0))),
        "its graph of objects is not one text of moderate length",
    ),
    "a graph of another length": (
        lambda p: index_of(p, (writing.GRAPH.encode(), entry(7, (), 0, 0, 64, 0))),
        "its graph of objects has another length; fetch it again",
    ),
    "a damaged graph": (
        lambda p: index_of(p, (writing.GRAPH.encode(), entry(7, (), 0, 0, 64, 0)), data=bytes([59, *bytes(63)])),
        "the checksum of '_CHECKPOINTABLE_OBJECT_GRAPH' differs; fetch it again",
    ),
    "a graph of nonsense": (lambda p: write_bundle(p, TENSORS, graph=b"\x0b"), "a field is of the unknown type 3"),
    "one name for two": (
        lambda p: write_bundle(p, {"a": np.ones(1), "b": np.ones(1)}, graph=object_graph({"a": "b"})),
        "two tensors have the same name",
    ),
    "an index of 10 GB": (lambda p: os.truncate(index_file(p), 10 * 10**9), "an index of 10 GB is none of a network"),
}


def index_file(prefix: Path) -> Path:
    write_bundle(prefix, TENSORS)
    return Path(f"{prefix}.index")


def _sparse(prefix: Path, item: tuple[bytes, bytes]) -> None:
    index_of(prefix, item)
    os.truncate(f"{prefix}.data-00000-of-00001", 2**40)


@pytest.mark.parametrize("case", CASES)
def test_hostile_ones(case: str, tmp_path: Path) -> None:
    write, told = CASES[case]
    write(tmp_path / "m")
    tracemalloc.start()
    with pytest.raises(WeightsError, match=rf"^cannot read {tmp_path}/m\.(index|data-[0-9-]+of-\d+): {re.escape(told)}$"):
        Bundle(tmp_path / "m")
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_too_many_tensors(tmp_path: Path) -> None:
    item = entry(1, (0,), 0, 0, 0, 0)
    index_of(tmp_path / "m", *((b"%07d" % number, item) for number in range(100_002)))
    began = time.perf_counter()
    with pytest.raises(WeightsError, match=r"m\.index: more than 100,000 tensors are none of a network$"):
        Bundle(tmp_path / "m")
    assert time.perf_counter() - began < 30


def test_a_graph_of_many_nodes(tmp_path: Path) -> None:
    """They are looked at one by one."""
    write_bundle(tmp_path / "m", {"a": np.ones(1)}, graph=b"\x0a\x02\x12\x00" * 100_000)
    tracemalloc.start()
    assert set(Bundle(tmp_path / "m").shapes) == {"a"}
    assert tracemalloc.get_traced_memory()[1] < 3_000_000
    tracemalloc.stop()
