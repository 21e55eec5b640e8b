"""Tensors on disk: checkpoints that resume a Step, and the weights that later Steps start from. One safetensors file each."""

from __future__ import annotations

import contextlib
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from simclr_spec.core.errors import WeightsError
from simclr_spec.core.files import write_atomic
from simclr_spec.core.words import shown, size
from simclr_spec.store.layout import Attempt, RunFolder

_HEADER_BYTES = 2**24
_LINE = 200
"""Characters of what safetensors says."""


@dataclass(frozen=True)
class Checkpoint:
    """A resumable moment of a Step: `train_step` train steps are done, in `seconds` of training over all attempts."""

    attempt: Attempt
    train_step: int
    seconds: float

    @property
    def path(self) -> Path:
        return self.attempt.checkpoint

    def tensors(self) -> dict[str, Tensor]:
        """Raises ValueError where a bit of the file is not as it was written."""
        if not _is_whole(self.path.read_bytes()):
            raise ValueError("its bytes are not those that were written")
        return load_file(self.path)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Atomic; whatever device, memory format or sharing of storage the tensors have."""
    write_atomic(path, _packed(tensors, metadata))


def _packed(tensors: Mapping[str, Tensor], metadata: dict[str, str] | None) -> bytes:
    return save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, metadata)


def write_checkpoint(
    attempt: Attempt, tensors: Mapping[str, Tensor], *, fingerprint: str, train_step: int, seconds: float
) -> None:
    """Replaces the attempt's previous checkpoint."""
    metadata = {"fingerprint": fingerprint, "train_step": str(train_step), "seconds": repr(seconds), "crc32": _UNSEALED}
    write_atomic(attempt.checkpoint, _sealed(_packed(tensors, metadata)))


_UNSEALED = "0" * 8
_SEAL = re.compile(rb'"crc32":"([0-9a-f]{8})"')


def _sealed(data: bytes) -> bytes:
    """With the checksum of all of the file, in which the checksum itself is zeros."""
    return data.replace(f'"crc32":"{_UNSEALED}"'.encode(), f'"crc32":"{zlib.crc32(data):08x}"'.encode(), 1)


def _is_whole(data: bytes) -> bool:
    view, header = memoryview(data), int.from_bytes(data[:8], "little")
    seal = _SEAL.search(data, 0, 8 + header)
    if seal is None:
        return False
    before = zlib.crc32(_UNSEALED.encode(), zlib.crc32(view[: seal.start(1)]))
    return int(seal[1], 16) == zlib.crc32(view[seal.end(1) :], before)


def checkpoints(folder: RunFolder, fingerprint: str) -> list[Checkpoint]:
    """Every attempt's readable checkpoint of this Step, the furthest first."""
    found = []
    for attempt in folder.attempts():
        with contextlib.suppress(WeightsError, KeyError, ValueError):
            metadata = read_metadata(attempt.checkpoint)
            if metadata["fingerprint"] == fingerprint:
                found.append(Checkpoint(attempt, int(metadata["train_step"]), float(metadata["seconds"])))
    return sorted(found, key=lambda checkpoint: checkpoint.train_step, reverse=True)


def delete_checkpoints(folder: RunFolder) -> None:
    """Of all attempts, with what writers killed half-way left behind."""
    for attempt in folder.attempts():
        for path in [attempt.checkpoint, *attempt.leftovers()]:
            path.unlink(missing_ok=True)


def read_weights(folder: RunFolder) -> dict[str, Tensor]:
    """The weights of a done Step."""
    if not folder.done:
        raise WeightsError(f"{folder.path} has not finished, so there are no weights to start from")
    if not folder.weights.exists():
        raise WeightsError(f"{folder.weights} is missing, though its Step is done: restore the file or delete the run folder")
    return load_tensors(folder.weights)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """safetensors' reader of a file that may be anybody's. Raises WeightsError, for what is read meanwhile, too."""
    try:
        _check_header(path)
        with safe_open(path, framework="pt") as file:
            yield file
    except OSError as error:
        raise WeightsError(f"cannot read {shown(path)}: {error.strerror or error}") from None
    except (SafetensorError, ValueError) as error:
        said = shown((str(error).splitlines() or [""])[0][:_LINE])
        raise WeightsError(f"{shown(path)} is no safetensors file, or damaged: {said}") from None


def _check_header(path: Path) -> None:
    """Before safetensors waits for a pipe, or parses what no network needs."""
    if not S_ISREG(path.stat().st_mode):
        raise ValueError("it is no regular file")
    with path.open("rb") as file:
        if (length := int.from_bytes(file.read(8), "little")) > _HEADER_BYTES:
            raise ValueError(f"its header would have {size(length)}")


def load_tensors(path: Path) -> dict[str, Tensor]:
    """All of a file that may be anybody's. Raises WeightsError."""
    with opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def read_metadata(path: Path) -> dict[str, str]:
    """Of a file of tensors that may be anybody's; empty where it has none. Raises WeightsError."""
    with opened(path) as file:
        return dict(file.metadata() or {})


def head_layers(weights: Iterable[str]) -> int:
    """Layers of a projection head among tensors of these names."""
    return len({name.split(".")[2] for name in weights if name.startswith("head.layers.")})


def load_part(module: nn.Module, weights: Mapping[str, Tensor], prefix: str, source: Path) -> None:
    """Fill `module` from the tensors named `prefix`.*; each of the module's tensors must be there with its shape."""
    tensors = {f"{prefix}.{name}": tensor for name, tensor in module.state_dict().items()}
    for name, found in fitting(tensors, weights, source):
        tensors[name].copy_(found)


def fitting(wanted: Mapping[str, Tensor], weights: Mapping[str, Tensor], source: Path | str) -> Iterator[tuple[str, Tensor]]:
    """Of the weights those of such names and shapes. Raises WeightsError where one is missing or of another shape."""
    for name, tensor in wanted.items():
        found = weights.get(name)
        if found is None:
            raise WeightsError(f"{source} has no tensor {name}, which this Step's network needs")
        if found.shape != tensor.shape:
            raise WeightsError(f"{name} is {list(found.shape)} in {source}, but this Step's network needs {list(tensor.shape)}")
        yield name, found
