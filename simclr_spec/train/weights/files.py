"""Files of torch and of safetensors: the shapes of their tensors, and one tensor at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from simclr_spec.core.errors import WeightsError
from simclr_spec.core.words import counted, shown
from simclr_spec.train import checkpoint
from simclr_spec.train.weights.held import Shape, Tensors
from simclr_spec.train.weights.pickles import fault

_DEPTH, _NAMES, _LETTERS = 4, 20_000, 1000
"""Tables in tables, tensors, and letters of a name: far more than a network has."""


def opened(path: Path) -> Tensors:
    """Raises WeightsError where it is no such file, is damaged, or has anything in it that is not tensors."""
    return _Safetensors(path) if path.suffix == ".safetensors" else _Torch(path)


class _Safetensors:
    def __init__(self, path: Path) -> None:
        self.path = path
        with checkpoint.opened(path) as file:
            names = file.keys()
            _check_names(path, len(names), max(map(len, names), default=0))
            self.shapes: Mapping[str, Shape] = {name: tuple(file.get_slice(name).get_shape()) for name in names}

    def read(self, name: str) -> Any:
        with checkpoint.opened(self.path) as file:
            return file.get_tensor(name)


class _Torch:
    """What torch.save wrote; only tensors, and tables of them. Their numbers are read when they are asked for."""

    def __init__(self, path: Path) -> None:
        try:
            why, in_zip = fault(path)
            found = None if why else torch.load(path, map_location="cpu", weights_only=True, mmap=in_zip)
        except OSError as error:
            why = error.strerror or _first(error)
        except Exception as error:  # torch's readers raise whatever they come upon
            why = f"it is damaged, or no file of torch ({_first(error)}); fetch it again"
        if why:
            raise WeightsError(f"cannot read {shown(path)}: {why}")
        self._tensors: dict[str, Tensor] = {}
        for name, tensor in _flat(found, set()):
            self._tensors[name] = tensor
            _check_names(path, len(self._tensors), len(name))
        self.shapes: Mapping[str, Shape] = {name: tuple(tensor.shape) for name, tensor in self._tensors.items()}

    def read(self, name: str) -> Any:
        return self._tensors[name]


def _check_names(path: Path, names: int, letters: int) -> None:
    if names > _NAMES or letters > _LETTERS:
        most = f"{counted(_NAMES, 'tensor')} of {counted(_LETTERS, 'letter')} each"
        raise WeightsError(f"cannot read {shown(path)}: it names more than {most}, and no network does")


def _flat(value: Any, seen: set[int], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """Tensors by their names, joined by dots where tables lie in tables; of a table that lies in several, by the first."""
    if isinstance(value, Tensor):
        yield prefix, value.detach()
    elif isinstance(value, Mapping) and depth < _DEPTH and id(value) not in seen:
        seen.add(id(value))
        for key, inside in value.items():
            if isinstance(key, str):
                yield from _flat(inside, seen, f"{prefix}.{key}" if prefix else key, depth + 1)


def _first(error: Exception) -> str:
    """Its first line; what torch says besides is advice to programmers."""
    return shown((str(error).splitlines() or [type(error).__name__])[0][:200])
