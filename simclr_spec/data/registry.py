"""The loaders by name: every module of loaders/ has one."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, Literal

from simclr_spec.data import loaders
from simclr_spec.data.loader import Loader
from simclr_spec.data.loaders import image_folder


def _found() -> dict[str, Loader[Any]]:
    """What comes with a package first, then known bytes, then anybody's images."""
    modules = [import_module(f"{loaders.__name__}.{module.name}") for module in iter_modules(loaders.__path__)]
    found: list[Loader[Any]] = [module.LOADER for module in modules]
    found.sort(key=lambda loader: (loader.needs_digest, not loader.comes_with, loader.name))
    return {loader.name: loader for loader in found}


LOADERS: Mapping[str, Loader[Any]] = _found()

USUAL = image_folder.LOADER.name
"""The loader of a data set that names none."""

if TYPE_CHECKING:
    LoaderName = str
else:
    LoaderName = Literal[tuple(LOADERS)]


def undeclared(loader: str, digest: str) -> bool:
    """Whether nothing says which images these are."""
    return LOADERS[loader].needs_digest and not digest
