"""A trained network as files for others: whole safetensors, and beside them TorchScript or ONNX, checked once written."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

import torch
from torch import Tensor

from simclr_spec.core.errors import UsageError, WeightsError
from simclr_spec.core.words import number, shown
from simclr_spec.train.checkpoint import write_tensors
from simclr_spec.train.handing_on.load import read_file
from simclr_spec.train.model.network import Network
from simclr_spec.train.random import uniform

MODEL, CARD = "model.safetensors", "README.md"
TOLERANCE = 1e-4
"""Between outputs of what was written and of the network itself."""
ROUNDING = 5e-6
"""Of outputs that are large: a share of the largest."""
ONE_FILE = 2**31 - 2**24
"""Bytes of tensors that fit into one file of ONNX; more stand beside it."""
ONNX = ("onnx", "onnxscript", "onnxruntime")

Run = Callable[[Tensor], Tensor]


def export(network: Network, folder: Path, form: str) -> list[Path]:
    """model.safetensors in `folder`, and model.pt or model.onnx where the format is such; returns what was written.

    Each maps (B, 3, S, S) in [0, 1], any B, to what the network gives. Raises UsageError where a package is missing or the
    folder holds something else, WeightsError where what was written gives other numbers; then nothing of it stays.
    """
    _refuse_others(folder, network.about.fingerprint)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".") as place:
        write_tensors(Path(place, MODEL), network.state_dict(), network.about.metadata())
        if form in _WRITERS:
            _check(network, form, _WRITERS[form](network, Path(place)))
        made = sorted(Path(place).iterdir())
        return [path.replace(folder / path.name) for path in made]


def _refuse_others(folder: Path, fingerprint: str) -> None:
    """What is not this network's stays."""
    there = folder / MODEL
    if there.exists():
        with contextlib.suppress(WeightsError):
            if read_file(there).about.fingerprint == fingerprint:
                return
        raise UsageError(f"{shown(there)} is another network: name another folder with -o")
    if (folder / CARD).exists():
        raise UsageError(f"{shown(folder / CARD)} is there already, and no model beside it: name another folder with -o")


def _torchscript(network: Network, folder: Path) -> Run:
    file, whole = folder / "model.pt", folder / "whole"
    with _silence(), torch.no_grad():
        traced = torch.jit.trace(network, _images(network, 2))  # type: ignore[no-untyped-call]
        torch.jit.save(traced, whole, _extra_files=network.about.metadata())
        with ZipFile(whole) as written, ZipFile(file, "w") as kept:
            for item in written.infolist():
                if not item.filename.endswith(".debug_pkl"):  # where in whose files it was traced is nobody's business
                    kept.writestr(item, written.read(item))
        whole.unlink()
        read: Run = torch.jit.load(file)  # type: ignore[no-untyped-call]
    return read


def _onnx(network: Network, folder: Path) -> Run:
    if lacking := [name for name in ONNX if find_spec(name) is None]:
        raise UsageError(f"ONNX needs {', '.join(lacking)}: pip install 'simclr-spec[onnx]'")
    import onnxruntime

    file, size = str(folder / "model.onnx"), sum(tensor.nbytes for tensor in network.state_dict().values())
    with _silence():
        program = torch.onnx.export(
            network,
            (_images(network, 2),),
            dynamo=True,
            input_names=["images"],
            output_names=["features" if network.classifier is None else "logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
        assert program is not None
        for node in program.model.graph.all_nodes():
            node.metadata_props.clear()  # the same
        program.model.metadata_props.update(network.about.metadata())
        program.save(file, external_data=size > ONE_FILE)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {"images": x.numpy()})[0])


_WRITERS: dict[str, Callable[[Network, Path], Run]] = {"torchscript": _torchscript, "onnx": _onnx}


def _images(network: Network, count: int) -> Tensor:
    """Random ones."""
    size = network.image_size
    return uniform(count, index=torch.arange(count), draws=3 * size**2).view(count, 3, size, size)


@torch.no_grad()
def _check(network: Network, form: str, written: Run) -> None:
    for count in (1, 3):
        images = _images(network, count)
        expected = network(images)
        farthest, allowed = (written(images) - expected).abs().max(), (ROUNDING * expected.abs().max()).clamp(min=TOLERANCE)
        if not farthest <= allowed:
            told = f"by up to {number(farthest.item(), 2)}, where {number(allowed.item(), 2)} is allowed"
            raise WeightsError(f"{form} gives other numbers than the network, {told}: nothing was written")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Exporters tell of their own changes, and of operators that they fold."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
