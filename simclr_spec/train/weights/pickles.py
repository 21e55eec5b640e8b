"""A look at what torch.save wrote, before torch opens it: an unpickler's stack and memo are followed, and nothing is made.

torch itself, told `weights_only=True`, executes nothing, but would reserve whatever memory a file asks it for, and hash
whatever a file has as the key of a table.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Any

from simclr_spec.core.words import shown, size
from simclr_spec.train.weights.archives import AGAIN, BEGINS, UNKNOWN, pickle_of

_PICKLE_BYTES = 2**21
_OPERATIONS, _MADE = 500_000, 60_000
"""In a file: steps of unpicklers, and how many tables, lists, tuples and tensors these make."""
_PICKLES = 5
"""Of a file of before torch 1.6: a mark, a version, sizes of numbers, the tensors, the keys of their numbers."""
_DIMENSIONS, _KEY = 32, 2**60
"""Larger numbers as keys can be chosen to have one hash."""
_WIDTHS = {"Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2, "Char": 1, "Byte": 1, "Bool": 1}
_STORAGES = {f"torch {name}Storage": width for name, width in _WIDTHS.items()}
_TABLE, _TENSOR, _PARAMETER = "collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"
_NAMED = {_TABLE, _TENSOR, _PARAMETER, *_STORAGES}
_VALUES = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_ODD = f"{UNKNOWN}: it names {{}} in an odd way"


def fault(path: Path) -> tuple[str, bool]:
    """What is wrong with it, or the empty string; and whether it is a zip archive, as it is since torch 1.6. Raises OSError."""
    if not S_ISREG(path.stat().st_mode):
        return "it is no regular file", False
    with path.open("rb") as file:
        data = file.read(_PICKLE_BYTES)
    zipped = data.startswith(BEGINS)
    try:
        if not zipped and data[:1] != b"\x80":
            raise ValueError(f"{UNKNOWN}: it begins with {data[:4]!r}")
        _look_through(pickle_of(path, _PICKLE_BYTES) if zipped else data, 1 if zipped else _PICKLES, path.stat().st_size)
    except ValueError as error:
        return str(error), zipped
    return "", zipped


def _look_through(data: bytes, pickles: int, length: int) -> None:
    """Raises ValueError where they would do more than name tensors, or these have more numbers than the file has bytes."""
    look = _Look(_operations(io.BytesIO(data), pickles))
    found = [look.pickle() for _ in range(pickles)]
    if pickles > 1:
        look.check_keys(found[-1] if isinstance(found[-1], list) else [()])
    if sum(numbers * _STORAGES[kind] for kind, numbers in look.storages.values()) > length:
        raise ValueError(f"it would take more memory than its own {size(length)}; {AGAIN}")


def _operations(stream: io.BytesIO, pickles: int) -> Iterator[tuple[str, Any]]:
    try:
        for _ in range(pickles):
            for op, argument, _ in pickletools.genops(stream):
                yield op.name, argument
    except ValueError as error:
        raise ValueError(f"it is damaged ({shown(error)[:100]}); fetch it again") from None


@dataclass(eq=False)
class _Thing:
    """What an unpickler would have made, besides texts, numbers, lists and tuples."""

    what: str
    numbers: int = 0
    """of a storage; of a table, how many keys it was given"""


class _Look:
    """An unpickler that makes nothing, over the pickles of one file. Raises ValueError."""

    def __init__(self, operations: Iterator[tuple[str, Any]]) -> None:
        self.operations, self.done, self.made = operations, 0, 0
        self.storages: dict[str, tuple[str, int]] = {}
        """of each its type, and how many numbers it has"""

    def pickle(self) -> Any:
        """What it is."""
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        try:
            for op, argument in self.operations:
                if op == "STOP":
                    break
                self._step(op, argument)
            return self.stack[-1]
        except (IndexError, KeyError):
            raise ValueError("it is damaged (a pickle takes what is not there); fetch it again") from None

    def _step(self, op: str, argument: Any) -> None:
        self.done += 1
        self._count(op.startswith(("TUPLE", "EMPTY", "REDUCE")))
        stack = self.stack
        if op in _VALUES:
            stack.append(argument)
        elif op in _CONSTANTS:
            stack.append(_CONSTANTS[op])
        elif op in _TUPLES:
            stack[-_TUPLES[op] :] = [tuple(stack[-_TUPLES[op] :])]
        elif op in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif op in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif op != "PROTO":
            self._make(op, argument)

    def _make(self, op: str, argument: Any) -> None:
        stack = self.stack
        match op:
            case "MARK":
                self.marked.append(stack)
                self.stack = []
            case "TUPLE":
                made = tuple(self._items())
                self.stack.append(made)
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_DICT":
                stack.append(_Thing(op))
            case "GLOBAL":
                stack.append(_named(argument))
            case "SETITEM" | "SETITEMS":
                items = [stack.pop(-2), stack.pop()] if op == "SETITEM" else self._items()
                self.check_keys(items[::2])
                _expect(isinstance(table := self.stack[-1], _Thing), "tables")
                table.numbers += len(items)
            case "APPEND" | "APPENDS":
                items = [stack.pop()] if op == "APPEND" else self._items()
                _expect(isinstance(self.stack[-1], list), "lists")
                self.stack[-1].extend(items)
            case "BINPERSID":
                stack.append(self._storage(stack.pop()))
            case "REDUCE":
                arguments, called = stack.pop(), stack.pop()
                stack.append(self._called(called, arguments))
            case "BUILD":  # the metadata of a state_dict
                state, table = stack.pop(), stack[-1]
                _expect(_is(table, "table") and _is(state, "EMPTY_DICT"), "tables")
                self._count(state.numbers)
            case _:
                raise ValueError(f"it has something else than tensors in it ({op}); {AGAIN}")

    def _items(self) -> list[Any]:
        """Since the last mark."""
        items, self.stack = self.stack, self.marked.pop()
        return items

    def _count(self, more: int) -> None:
        self.made += more
        if self.done > _OPERATIONS or self.made > _MADE:
            raise ValueError(f"it would make more than a network has; {AGAIN}")

    def check_keys(self, keys: Iterable[Any]) -> None:
        """No tuple among them: of tuples in tuples the hash can take for ever."""
        _expect(all(isinstance(key, str) or (isinstance(key, int) and abs(key) < _KEY) for key in keys), "things")

    def _storage(self, named: Any) -> _Thing:
        """Of a tuple of a word, their type, key, place and how many they are."""
        named = named[:-1] if isinstance(named, tuple) and named[5:] == (None,) else named
        _expect(isinstance(named, tuple) and len(named) == 5, "numbers")
        word, kind, key, _, numbers = named
        _expect(isinstance(kind, _Thing) and kind.what in _STORAGES and isinstance(key, str), "numbers")
        _expect(isinstance(word, str) and word == "storage" and isinstance(numbers, int) and numbers >= 0, "numbers")
        _expect(self.storages.setdefault(key, (kind.what, numbers)) == (kind.what, numbers), "numbers")
        return _Thing("storage", numbers)

    def _called(self, called: Any, arguments: Any) -> _Thing:
        _expect(isinstance(called, _Thing) and isinstance(arguments, tuple), "tensors")
        if called.what == _TABLE:  # by Python 2 with a list of its pairs
            pairs = _listed(arguments[0]) if arguments else []
            self._count(len(pairs))
            self.check_keys(_listed(pair)[0] for pair in pairs)
            return _Thing("table")
        if called.what == _TENSOR:
            _check_places(arguments)
            return _Thing("tensor")
        _expect(called.what == _PARAMETER and len(arguments) > 0 and _is(arguments[0], "tensor"), "tensors")
        return _Thing("parameter")


def _check_places(arguments: tuple[Any, ...]) -> None:
    """A tensor's numbers are those of its storage: for others torch would make it larger."""
    _expect(4 <= len(arguments) <= 6, "tensors")
    storage, first, shape, strides = arguments[:4]
    _expect(_is(storage, "storage") and isinstance(shape, tuple) and isinstance(strides, tuple), "tensors")
    _expect(len(shape) == len(strides) <= _DIMENSIONS, "tensors")
    _expect(all(isinstance(number, int) and number >= 0 for number in (first, *shape, *strides)), "tensors")
    end = first + 1 + sum((extent - 1) * stride for extent, stride in zip(shape, strides, strict=True))
    if 0 not in shape and end > storage.numbers:
        raise ValueError(f"a tensor of {end:,} numbers has {storage.numbers:,} in it; fetch it again")


def _named(name: str) -> _Thing:
    if name not in _NAMED:
        raise ValueError(f"it would call {shown(name).replace(' ', '.')}; {AGAIN}")
    return _Thing(name)


def _listed(value: Any) -> list[Any]:
    _expect(isinstance(value, list), "tables")
    return value  # type: ignore[no-any-return]


def _is(value: Any, what: str) -> bool:
    return isinstance(value, _Thing) and value.what == what


def _expect(held: bool, what: str) -> None:
    if not held:
        raise ValueError(_ODD.format(what))
