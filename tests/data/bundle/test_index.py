"""What stands in a table whose checksums are right is believed no more than the rest."""

from __future__ import annotations

import contextlib
import math

from hypothesis import example, given
from hypothesis import strategies as st

from simclr_spec.data.bundle import graph, index
from tests.data.bundle.writing import entry, header, object_graph, table

GOOD = entry(1, (2, 3), 0, 100, 24, 7)
GRAPH = object_graph({"a": "one", "b": "two"})


def edited(data: bytes) -> st.SearchStrategy[bytes]:
    """Some bytes in the middle are others."""
    places = st.tuples(st.integers(0, len(data)), st.integers(0, len(data)), st.binary(max_size=12))
    return places.map(lambda edit: data[: edit[0]] + edit[2] + data[edit[1] :])


@given(edited(GOOD))
@example(GOOD)
def test_any_entry(value: bytes) -> None:
    """A sentence, or a tensor of as many bytes as its shape says."""
    with contextlib.suppress(ValueError):
        _, tensors = index.read(table([(b"", header(1)), (b"a", value)]))
        found = tensors["a"]
        assert found.shard == 0
        assert found.dtype not in index.NUMBERS or found.bytes == math.prod(found.shape) * int(index.NUMBERS[found.dtype][-1])


@given(edited(header(1)))
def test_any_header(value: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert index.read(table([(b"", value)]))[1] == {}


@given(edited(GRAPH))
@example(GRAPH)
def test_any_graph(data: bytes) -> None:
    """A sentence, or a name of its own for each key."""
    with contextlib.suppress(ValueError):
        named = graph.names(data, ["a", "b"])
        assert list(named) == ["a", "b"]
        assert len(set(named.values())) == 2
