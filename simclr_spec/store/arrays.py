"""The paths of job arrays, as layout.py has those of all else, and which element of one is to make a Step's next attempt."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Ended = Literal["failed", "interrupted", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Queued:
    """An element of an array that is to make a Step's next attempt."""

    job: str
    """as the scheduler names it: `1234_5`"""
    array: str
    index: int
    after_attempt: int
    """number of the last one before"""
    ended: Ended | None = None
    """where it made none"""
    why: str = ""
    vanished: int = 0
    """how often before the scheduler lost such a job without a word"""

    def __post_init__(self) -> None:
        """Others may write in the store, and these reach commands and paths. Raises ValueError."""
        if not re.fullmatch(r"\d+_\d+", self.job) or not re.fullmatch(r"\w[\w.-]*", self.array):
            raise ValueError(self)


@dataclass(frozen=True)
class ArrayFolder:
    """All paths of one job array."""

    path: Path

    @property
    def name(self) -> str:
        """Of the array; no other has it."""
        return self.path.name

    @property
    def intent(self) -> Path:
        """What it is to be, written before it is submitted."""
        return self.path / "array.json"

    @property
    def receipt(self) -> Path:
        """The job's id."""
        return self.path / "receipt.json"

    @property
    def released(self) -> Path:
        """There once its jobs may begin."""
        return self.path / "released"

    @property
    def closed(self) -> Path:
        """There once none of its jobs is left, so that nobody asks for them any more."""
        return self.path / "closed"

    @property
    def script(self) -> Path:
        return self.path / "batch.sh"

    def end_of_log(self, index: int, size: int = 20_000) -> str:
        """The last so many bytes of it."""
        try:
            with self.log(index).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - size))
                return file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def log(self, index: int) -> Path:
        """What an element's job printed, over all its starts."""
        return self.path / f"{index}.log"

    def ends(self, index: int) -> Path:
        """One JSON object a line for each end after which it began again: why, code, time."""
        return self.path / f"{index}.ends"
