"""What a loader of images says: where its images lie, what it reads, and what tells which images these are.

Each file of loaders/ holds one, as LOADER; registry.py finds them. Nothing here loads torch, nor numpy before images are read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from simclr_spec.core.errors import DataError
from simclr_spec.data import digests
from simclr_spec.data.listing import Listing
from simclr_spec.data.splits import Counts, Splits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class ArraySplit:
    """Images in memory."""

    pixels: NDArray[np.uint8]
    """(N, 3, H, W)"""
    labels: NDArray[np.int64]
    """(N,)"""


@dataclass(frozen=True, kw_only=True)
class Arrays:
    """Both splits of a data set in memory."""

    train: ArraySplit
    test: ArraySplit
    classes: tuple[str, ...]
    """their names; a label is a place among them"""

    @property
    def counts(self) -> Counts:
        return Counts(len(self.train.labels), len(self.test.labels), len(self.classes))


Found = TypeVar("Found", Arrays, Listing)
"""What a loader reads: pixels, or the names of image files."""


class Loader(ABC, Generic[Found]):
    """One way in which images are stored."""

    name: ClassVar[str]
    """In data-set files."""
    comes_with: ClassVar[str] = ""
    """The package that brings the images; without one they lie in a folder."""
    needs_digest: ClassVar[bool]
    """Whether only a digest says which images these are: anybody's may lie there."""

    @abstractmethod
    def find(self, dataset: str, roots: Sequence[str], *, splits: Splits = Splits.BOTH) -> Path | None:
        """The folder of the data set, below a root; None where the images come with a package.

        Raises DataError where it is not, or not whole."""

    @abstractmethod
    def read(self, folder: Path | None, *, splits: Splits = Splits.BOTH) -> Found:
        """These splits, or more. Raises DataError where they are not as they should be."""

    @abstractmethod
    def digest(self, found: Found, cache: Path | None = None, *, rehash: bool = False, tell: digests.Tell | None = None) -> str:
        """SHA-256 over every image and label in order, train then test; `cache` remembers those of files (Store.hashes_of)."""

    def folders_of(self, splits: Splits, folder: Path) -> list[Path]:  # noqa: ARG002
        """The folder of each split, where each has its own."""
        return []

    def faults(self, folder: Path) -> Iterable[str]:  # noqa: ARG002
        """Sentences: what can be seen to be wrong before anything is read."""
        return ()

    def today(
        self,
        folder: Path,
        cache: Path | None = None,
        *,
        splits: Splits = Splits.BOTH,
        rehash: bool = False,
        tell: digests.Tell | None = None,
    ) -> str:
        """The digest of the images as they are now. Raises DataError, naming the file."""
        return self.digest(self.read(folder, splits=splits), cache, rehash=rehash, tell=tell)


class ArrayLoader(Loader[Arrays]):
    """Reads known bytes only, into memory."""

    needs_digest = False

    def digest(
        self,
        found: Arrays,
        cache: Path | None = None,  # noqa: ARG002
        *,
        rehash: bool = False,  # noqa: ARG002
        tell: digests.Tell | None = None,  # noqa: ARG002
    ) -> str:
        return digests.of_arrays((split.pixels, split.labels) for split in (found.train, found.test))


class FileLoader(Loader[Listing]):
    """Names image files of anybody's, which training opens when it needs them."""

    needs_digest = True

    @abstractmethod
    def scan(self, folder: Path, *, splits: Splits = Splits.BOTH) -> Listing:
        """The images of a folder, and the faults of the rest. Raises no error."""

    def read(self, folder: Path | None, *, splits: Splits = Splits.BOTH) -> Listing:
        assert folder is not None
        found = self.scan(folder.absolute(), splits=splits)
        if found.faults:
            raise DataError("\n".join(found.faults))
        return found

    def digest(
        self, found: Listing, cache: Path | None = None, *, rehash: bool = False, tell: digests.Tell | None = None
    ) -> str:
        """A split that was not looked for counts as empty."""
        splits = [(split.paths(), split.labels) for split in (found.train, found.test)]
        return digests.of_files(splits, cache, rehash=rehash, tell=tell)
