"""Pages of docs/ as a reader takes them: files to write, and what is typed in a shell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests import runs

DOCS = Path(__file__).parents[1] / "docs"


@dataclass(frozen=True)
class Page:
    """A page, or the part of it between two headings."""

    text: str

    @classmethod
    def read(cls, name: str) -> Page:
        return cls((DOCS / name).read_text(encoding="utf-8"))

    def section(self, heading: str) -> Page:
        return Page(self.text.partition(f"## {heading}\n")[2].partition("\n## ")[0])

    def blocks(self, kind: str = "") -> list[str]:
        """What is fenced, of one kind: of no kind what is typed in a shell."""
        return [text for name, text in self._fences if name == kind]

    @property
    def files(self) -> dict[str, str]:
        return {name.removeprefix("toml "): text for name, text in self._fences if name.startswith("toml ")}

    @property
    def _fences(self) -> list[tuple[str, str]]:
        return re.findall(r"^```([^\n]*)\n(.*?)^```$", self.text, re.DOTALL | re.MULTILINE)


def shell(block: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A block typed in that folder, up to the first command that fails."""
    (folder / "bin").mkdir(exist_ok=True)
    program = folder / "bin" / "simclr-spec"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m simclr_spec "$@"\n')
    program.chmod(0o755)
    values = runs.environment(PATH=f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return subprocess.run(["bash", "-ec", block], cwd=folder, env=values, capture_output=True, text=True, check=False)


def typed(block: str, folder: Path) -> str:
    """Of a block in which nothing fails, what it says."""
    done = shell(block, folder)
    assert done.returncode == 0, (block, done.stdout, done.stderr)
    return done.stdout
