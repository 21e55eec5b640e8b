"""Which pictures are read: what an opened file says of itself, before its pixels are. The first look and training ask alike.

Loads no torch; Pillow only when a picture is opened.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "PPM", "AVIF", "ICO", "JPEG2000")
"""That are read where Pillow was built with them, whatever a file's name says; MPO opens as JPEG. Of the others some start
programs (EPS does)."""
MOST_PIXELS = 178_956_970
"""Of an image: beyond, Pillow takes it for a decompression bomb. From half of that on it would warn of every photograph."""
_SIGNED, _SAMPLE_FORMAT = 2, 339
"""In a TIFF."""


def opened(path: str | os.PathLike[str]) -> Image.Image:
    """Raises ValueError where its pixels are not to be read, and whatever Pillow raises."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # no warnings; MOST_PIXELS takes its place
    Image.init()
    image = Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN])
    if why := refused(image):
        image.close()
        raise ValueError(why)
    return image


def refused(image: Image.Image) -> str:
    """Why its pixels are not to be read, or the empty string."""
    if (pixels := image.width * image.height) > MOST_PIXELS:
        return f"it has {pixels // 10**6} megapixels, which no photograph has; make it smaller"
    numbers = ""
    if image.mode == "F":
        numbers = "floating-point numbers"
    elif image.mode == "I" and image.format not in ("PNG", "PPM"):  # those have 16 bits of grey
        numbers = "32-bit integers"
    elif _SIGNED in getattr(image, "tag_v2", {}).get(_SAMPLE_FORMAT, ()):
        numbers = "signed numbers"
    return numbers and f"its pixels are {numbers}, and nothing says which of them is white; save it with 8 or 16 bits"
