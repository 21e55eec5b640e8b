"""Where weights that were trained elsewhere lie, and which they are: asked before anything starts, so nothing here loads torch.

A root is a folder: `--weights-root`, else those of the environment variable SIMCLR_SPEC_WEIGHTS (separated as PATH is), else
./weights. A published name, as weights files have it, lies below one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from hashlib import sha256 as new_sha256
from pathlib import Path, PurePosixPath

from simclr_spec.core.environment import environment
from simclr_spec.core.errors import MissingDataError, WeightsError
from simclr_spec.core.words import quoted, shown
from simclr_spec.data.bundle.place import INDEX, prefix_of

ENVIRONMENT = "SIMCLR_SPEC_WEIGHTS"
_HINT = f"or say where they lie with --weights-root or {ENVIRONMENT}"
_SHARDS = ".data-00000-of-00001"
_BLOCK = 2**22


def weights_roots() -> list[str]:
    """What the environment says, else ./weights; absolute."""
    named = [root for root in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if root]
    return [os.path.abspath(os.path.expanduser(root)) for root in named or ["weights"]]


def as_environment(roots: Iterable[str]) -> dict[str, str]:
    """The variable that says the same; none without roots."""
    text = os.pathsep.join(roots)
    return {ENVIRONMENT: text} if text else {}


def in_environment(roots: Sequence[str]) -> AbstractContextManager[None]:
    """Meanwhile the environment says so, where any are given."""
    return environment(as_environment(roots))


def place(name: str, origin: str) -> Path:
    """Where that published name is: a file, the prefix of a checkpoint, or the folder of a saved model.

    Raises MissingDataError where it is below no root; `origin` is where it is published."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts:
        raise WeightsError(f"the weights '{shown(name)}' are no name below a weights root; name the root with --weights-root")
    roots = weights_roots()
    for path in (Path(root) / name for root in roots):
        try:
            if path.is_file() or prefix_of(path):
                return path
        except OSError as error:
            sentence = f"cannot look for the weights {quoted(name)}, as the weights file names them, in {shown(path.parent)}"
            raise WeightsError(f"{sentence}: {error.strerror}") from None
    which = "" if pure.suffix in (".pth", ".pt", ".bin", ".safetensors") else f" (files {INDEX} and {_SHARDS})"
    sentence = f"the weights '{shown(name)}' are not there (looked in {', '.join(map(shown, roots))})"
    raise MissingDataError(f"{sentence}: fetch them from {shown(origin)}{which}, {_HINT}")


def parts(path: Path) -> list[Path]:
    """The files that such a place consists of: one, or of a checkpoint the index and then the shards in order.

    Raises WeightsError, where one of several is damaged or missing."""
    if not (prefix := prefix_of(path)):
        return [path]
    from simclr_spec.data.bundle.bundle import Bundle

    return Bundle(prefix).files


def sha256(files: Iterable[Path]) -> str:
    """Of their bytes, one after another: what `cat PREFIX.index PREFIX.data-* | sha256sum` says. Raises WeightsError."""
    sha = new_sha256()
    for path in files:
        try:
            with path.open("rb", buffering=0) as file:
                while block := file.read(_BLOCK):
                    sha.update(block)
        except OSError as error:
            raise WeightsError(f"cannot read {shown(path)}: {error.strerror}") from None
    return sha.hexdigest()
