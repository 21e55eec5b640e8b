"""What `doctor` prints: versions, devices, data roots, schedulers, the store. Loads none of the packages that it names."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from simclr_spec import __version__
from simclr_spec.core.cores import cores
from simclr_spec.core.errors import DataError, SimclrSpecError
from simclr_spec.core.words import number, size
from simclr_spec.data import digests
from simclr_spec.data.loader import Loader
from simclr_spec.data.registry import LOADERS
from simclr_spec.data.roots import data_roots, label_list
from simclr_spec.data.splits import Splits
from simclr_spec.dispatch.local.slots import nvidia_smi, slots
from simclr_spec.dispatch.run import look_at_cluster
from simclr_spec.language import declared
from simclr_spec.language.coordinates import Selector
from simclr_spec.language.dataset import read_dataset
from simclr_spec.language.machine import read_machine
from simclr_spec.language.runner import Local, Runner
from simclr_spec.stages.common import DatasetConfig
from simclr_spec.store import first_look
from simclr_spec.store.forecast import make_forecast
from simclr_spec.store.layout import Store
from simclr_spec.store.memory import misfits
from simclr_spec.store.probe import nearest, probe
from simclr_spec.store.staleness import Images

PACKAGES = (
    "torch",
    "torchvision",
    "safetensors",
    "submitit",
    "numpy",
    "Pillow",
    "pandas",
    "scikit-learn",
    "jsonschema",
    "click",
    "rich",
)


def examine(store: str, roots: Sequence[str], rehash: bool = False) -> Iterator[str]:
    """Lines; one that begins with ✗ needs attention."""
    yield f"simclr-spec {__version__}, Python {platform.python_version()}, {platform.platform()}"
    yield "packages    " + ", ".join(_package(name) for name in PACKAGES)
    yield from _devices()
    yield from _data(Store(Path(store)), roots, rehash)
    yield from _schedulers()
    yield _store(Path(store))


def examine_cluster(
    runner: Runner,
    names: Sequence[str],
    selector: Selector | None,
    scale: str | None,
    sets: Sequence[str],
    store: Store,
    roots: Sequence[str],
    wait: float,
    tell: Callable[[str], object],
) -> Iterator[str]:
    """Lines; one that begins with ✗ must be mended before a run may be left to the cluster."""
    machine, steps = runner.machine and read_machine(runner.machine), []
    if names:
        forecast = make_forecast(names, selector, images=Images(store, names), scale=scale, sets=sets, runner=runner)
        machine, steps = forecast.machine, forecast.to_run
        yield from (f"✗ {misfit}" for misfit in misfits(forecast))
    yield from look_at_cluster(
        runner, store, steps, machine=machine or None, data_roots=data_roots(roots), wait=wait, tell=tell
    )


def _package(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"✗ {name} is missing"


def _devices() -> Iterator[str]:
    yield f"devices     {cores()} CPU cores of {os.cpu_count()}"
    for line in nvidia_smi("--query-gpu=index,name,memory.total,driver_version", "--format=csv,noheader").splitlines():
        yield f"            GPU {line}"
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        yield f"            CUDA_VISIBLE_DEVICES is {visible!r}"
    yield f"slots       {', '.join(map(str, slots(Local())))} (runner local)"


def _data(store: Store, roots: Sequence[str], rehash: bool) -> Iterator[str]:
    found = data_roots(roots)
    yield f"data roots  {', '.join(os.path.abspath(root) if '=' not in root else root for root in found)}"
    for name in declared.names("dataset"):
        document, facts = read_dataset(name, None)
        dataset = DatasetConfig(**{key.removeprefix("dataset."): setting.value for key, setting in facts.items()})
        loader = LOADERS[dataset.loader]
        try:
            seen = first_look.look(dataset, roots, facts["dataset.train_images"].origin, store)
            yield f"            {name}: {seen.folder or f'comes with {loader.comes_with}'}"
            yield from (f"              {note}" for note in seen.notes)
            yield from (f"            ✗ {fault}" for fault in first_look.the_first(seen.faults))
            if seen.folder and loader.needs_digest and not seen.faults:
                yield f"            {name}'s images: {_digest(loader, seen.folder, store, rehash)}"
        except DataError as error:
            yield f"            {name}: not here ({str(error).partition(': say')[0]})"
            with suppress(DataError):
                alone = loader.find(dataset.name, found, splits=Splits.TEST)
                yield f"              but its test split is, which is enough for tests: {alone}"
        for listed in document.data.get("label_lists", ()):
            which = f"{name}'s label list at {number(100 * listed['fraction'])} %"
            try:
                yield f"            {which}: {label_list(listed['list_digest']['value'], found)}"
            except DataError as error:
                yield f"            {which}: not here ({str(error).partition(', or say')[0]})"


def _digest(loader: Loader[Any], folder: Path, store: Store, rehash: bool) -> str:
    """Of a folder that was looked at before, or if told to: the first look may read for hours."""
    cache = store.hashes_of(folder)
    if digests.last_look(cache) is None and not rehash:
        return "not read yet (the first run does; --rehash reads them now)"
    return f"digest {loader.today(folder, cache, rehash=rehash)}"


def _schedulers() -> Iterator[str]:
    sbatch = shutil.which("sbatch")
    if sbatch is None:
        yield "schedulers  none but this machine (no sbatch on the PATH)"
        return
    answer = subprocess.run([sbatch, "--version"], capture_output=True, text=True, timeout=20, check=False)
    yield f"schedulers  {answer.stdout.strip() or 'Slurm'} ({sbatch})"


def _store(path: Path) -> str:
    try:
        probe(path)
    except SimclrSpecError as error:
        return f"store       ✗ {path.absolute()}: {str(error).removesuffix('. Nothing started')}"
    return f"store       {path.absolute()}, {size(shutil.disk_usage(nearest(path)).free)} free"
