"""Files of torch and of safetensors: the shapes of their tensors, and one tensor at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from simclr_spec.core.errors import WeightsError
from simclr_spec.core.words import shown, size
from simclr_spec.train.weights.held import Shape, Tensors
from simclr_spec.train.weights.pickles import fault

_HEADER_BYTES = 2**24
_DEPTH = 4
"""Tables in tables."""


def opened(path: Path) -> Tensors:
    """Raises WeightsError where it is no such file, is damaged, or has anything in it that is not tensors."""
    try:
        with path.open("rb") as file:
            begins = file.read(8)
    except OSError as error:
        raise WeightsError(f"cannot read {shown(path)}: {error.strerror}") from None
    return _Safetensors(path, begins) if path.suffix == ".safetensors" else _Torch(path)


class _Safetensors:
    def __init__(self, path: Path, begins: bytes) -> None:
        self.path = path
        if (length := int.from_bytes(begins, "little")) > _HEADER_BYTES:
            raise WeightsError(f"{shown(path)} is no safetensors file: its header would have {size(length)}")
        try:
            with safe_open(path, framework="pt") as file:
                self.shapes: Mapping[str, Shape] = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{shown(path)} is no safetensors file, or damaged: {_first(error)}") from None

    def read(self, name: str) -> Any:
        try:
            with safe_open(self.path, framework="pt") as file:
                return file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{shown(self.path)} is damaged: {_first(error)}") from None


class _Torch:
    """What torch.save wrote; only tensors, and tables of them. Their numbers are read when they are asked for."""

    def __init__(self, path: Path) -> None:
        try:
            why, in_zip = fault(path)
            found = None if why else torch.load(path, map_location="cpu", weights_only=True, mmap=in_zip)
        except Exception as error:  # torch's readers raise whatever they come upon
            why = f"it is damaged, or no file of torch ({_first(error)}); fetch it again"
        if why:
            raise WeightsError(f"cannot read {shown(path)}: {why}")
        self._tensors = dict(_flat(found))
        self.shapes: Mapping[str, Shape] = {name: tuple(tensor.shape) for name, tensor in self._tensors.items()}

    def read(self, name: str) -> Any:
        return self._tensors[name]


def _flat(value: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """Tensors by their names, joined by dots where tables lie in tables."""
    if isinstance(value, Tensor):
        yield prefix, value.detach()
    elif isinstance(value, Mapping) and depth < _DEPTH:
        for key, inside in value.items():
            if isinstance(key, str):
                yield from _flat(inside, f"{prefix}.{key}" if prefix else key, depth + 1)


def _first(error: Exception) -> str:
    """Its first line; what torch says besides is advice to programmers."""
    return shown((str(error).splitlines() or [type(error).__name__])[0][:200])
