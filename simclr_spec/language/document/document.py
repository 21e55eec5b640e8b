"""A file that was read: its data, and the place of everything in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any

from simclr_spec.core.errors import Fault
from simclr_spec.language.document.positions import Path, Places, scan


@dataclass(frozen=True, eq=False, kw_only=True)
class Document:
    """`name` as it was asked for, `file` as messages say it; paths in it start in `folder`."""

    name: str
    file: str
    text: str
    data: dict[str, Any] = field(default_factory=dict)
    is_json: bool
    folder: FilePath | None = None

    @property
    def content(self) -> dict[str, Any]:
        """The data without the file's schema, which is for editors."""
        return {key: value for key, value in self.data.items() if key != "$schema"}

    @cached_property
    def places(self) -> Places:
        """Scanned when first asked for."""
        return scan(self.text, self.is_json)

    def line(self, path: Path) -> int:
        return self.places.of(path, key=True)[0]

    def fault(self, path: Path, sentence: str, *, key: bool = False) -> Fault:
        """A fault at the value at `path`, or at its key."""
        return Fault(self.file, *self.places.of(path, key), sentence)
