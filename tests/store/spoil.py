"""What may happen to a folder of images."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tests.folders import picture

Spoil = Callable[[Path], object]


def both(*spoils: Spoil) -> Spoil:
    return lambda folder: [spoil(folder) for spoil in spoils]


def move(place: str, to: str) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / to).parent.mkdir(exist_ok=True)
        (folder / place).rename(folder / to)

    return spoil


def write(place: str, content: bytes = b"x") -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / place).parent.mkdir(exist_ok=True)
        (folder / place).write_bytes(content)

    return spoil


def remove(place: str) -> Spoil:
    return lambda folder: subprocess.run(["rm", "-r", folder / place], check=True)


def add(place: str) -> Spoil:
    return lambda folder: picture(folder / place)


def link(place: str, to: str) -> Spoil:
    return both(lambda folder: (folder / place).symlink_to(to))


def half(place: str) -> Spoil:
    """An image of noise, of which the end is missing."""

    def spoil(folder: Path) -> None:
        Image.frombytes("RGB", (40, 40), os.urandom(4800)).save(folder / place)
        (folder / place).write_bytes((folder / place).read_bytes()[:900])

    return spoil
