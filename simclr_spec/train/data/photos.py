"""Images in files: read when they are needed, a bounded part of a batch at a time.

Pillow reads what ImageNet holds: greyscale, CMYK and one PNG named JPEG included. What it would change on the way is
either meant (see `_rgb`, `_upright`) or refused: whatever goes wrong names the file.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simclr_spec.core.cores import cores
from simclr_spec.core.errors import DataError
from simclr_spec.core.words import shown
from simclr_spec.data import pictures
from simclr_spec.train.tensors import to_device

if TYPE_CHECKING:
    from PIL import Image

DECODED_BYTES = 2**29
"""Of images that are being decoded and cropped: at most so many at once, or one image. A batch may be read ahead while an
evaluation runs; both together stay below 1 GiB."""
PIXEL_BYTES = 13
"""While an image is decoded, Pillow has 4 a pixel and two copies have 3 each; 3 of the part before may not be free yet."""
LOOKED_AT = 1000
"""Images that are decoded for their faults alone, at a time."""
_ORIENTATION = 0x0112
_TURNED_BACK = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
"""EXIF orientation -> the Image.Transpose that undoes what Pillow did to obey it."""


class Files:
    """Images in files, decoded when indexed: files[samples] is a list of uint8 (3, h, w) on `device`."""

    def __init__(self, paths: Sequence[str | Path], device: torch.device | str = "cpu", orientation: str = "stored") -> None:
        self.paths, self.orientation = paths, orientation
        self.device = torch.device(device)
        self.pixels = np.zeros(len(paths), dtype=np.int64)  # of each image whose header has been read, else 0

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, samples: Tensor) -> list[Tensor]:
        return [image for chunk in self.chunks(samples) for image in chunk]

    def to(self, device: torch.device | str) -> Files:
        return Files(self.paths, device, self.orientation)

    def chunks(self, samples: Tensor) -> Iterator[list[Tensor]]:
        """The images of the samples in their order, as many at a time as DECODED_BYTES allow."""
        indices = samples.tolist()
        new = [sample for sample in indices if not self.pixels[sample]]
        self.pixels[new] = list(_pool().map(lambda sample: measured(self.paths[sample]), new))
        taken = (PIXEL_BYTES * self.pixels[indices]).tolist()
        first = held = 0
        for end, more in enumerate(taken):
            if held + more > DECODED_BYTES and end > first:
                yield self._decoded(indices[first:end])
                first, held = end, 0
            held += more
        yield self._decoded(indices[first:])

    def _decoded(self, samples: list[int]) -> list[Tensor]:
        images = _pool().map(lambda sample: decoded(self.paths[sample], self.orientation), samples)
        return [to_device(image, self.device) for image in images]


def chunks(images: Tensor | Files, samples: Tensor) -> Iterator[Tensor | list[Tensor]]:
    """The images of the samples in their order: at once where they are in memory, else in chunks. Let go of each in time."""
    if isinstance(images, Tensor):
        yield images[to_device(samples, images.device)]
    else:
        yield from images.chunks(samples)


@functools.cache
def _pool() -> ThreadPoolExecutor:
    """One for this process; a forked child has none of its threads and makes its own."""
    return ThreadPoolExecutor(cores(), thread_name_prefix="decode")


os.register_at_fork(after_in_child=_pool.cache_clear)


def measured(path: str | Path) -> int:
    """Pixels, by the header. Raises DataError."""
    with _opened(path) as image:
        return image.width * image.height


def decoded(path: str | Path, orientation: str = "stored") -> Tensor:
    """-> uint8 (3, h, w). Raises DataError."""
    with _opened(path) as image:
        return _as_tensor(_upright(image, orientation))


def of_picture(image: Image.Image, orientation: str = "stored") -> Tensor:
    """The same of an image that somebody has opened, which stays as it is. Raises DataError."""
    from PIL import ImageOps

    if why := pictures.refused(image):
        raise DataError(f"cannot read this image: {why}")
    upright = ImageOps.exif_transpose(image) if orientation == "exif" else _upright(image, orientation)
    return _as_tensor(upright.copy() if "transparency" in upright.info else upright)


def unreadable(paths: Sequence[str | Path], orientation: str = "stored") -> Iterator[str]:
    """A sentence for each image that does not decode."""
    for first in range(0, len(paths), LOOKED_AT):
        yield from filter(None, _pool().map(lambda path: _fault(path, orientation), paths[first : first + LOOKED_AT]))


def _fault(path: str | Path, orientation: str) -> str:
    try:
        decoded(path, orientation)
    except DataError as error:
        return str(error)
    return ""


def _as_tensor(upright: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(_rgb(upright).transpose(2, 0, 1), order="C"))


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    """Pillow raises errors of many types over broken files; each becomes a DataError that names the file."""
    try:
        with pictures.opened(path) as image:
            yield image
    except Exception as error:
        raise DataError(f"cannot read the image {shown(path)}: {_why(error)}") from None


def _why(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "it is no image, of a format that Pillow does not know, or damaged"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _upright(image: Image.Image, orientation: str) -> Image.Image:
    """As the camera was held, or as the pixels are stored: Pillow itself turns TIFFs, and nothing else, while it reads them."""
    from PIL import Image, ImageOps

    if orientation == "exif":
        ImageOps.exif_transpose(image, in_place=True)
        return image
    turned = image.getexif().get(_ORIENTATION) if image.format == "TIFF" else None
    image.load()
    if turned in _TURNED_BACK and _ORIENTATION not in image.getexif():
        return image.transpose(Image.Transpose(_TURNED_BACK[turned]))
    return image


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    """-> (h, w, 3). Alpha is left out, as the official decoder does; 16 bits of grey become the nearest 8."""
    if image.mode.startswith("I"):
        return np.repeat(_eight_bits(image)[:, :, None], 3, axis=2)
    image.info.pop("transparency", None)  # else Pillow warns that it leaves it out
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _eight_bits(image: Image.Image) -> NDArray[np.uint8]:
    """Grey of more than 8 bits -> (h, w). A TIFF says how many bits count, and may have white at 0."""
    grey, tags = np.asarray(image).astype(np.uint32), getattr(image, "tag_v2", {})
    white = 2 ** tags.get(258, (16,))[0] - 1
    grey = (grey * 255 + white // 2) // white
    eight: NDArray[np.uint8] = (255 - grey if tags.get(262) == 0 else grey).astype(np.uint8)
    return eight
