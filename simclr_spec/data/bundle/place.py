"""Where a checkpoint is that somebody names. Loads no numpy."""

from __future__ import annotations

from pathlib import Path

INDEX = ".index"


def prefix_of(path: Path) -> Path | None:
    """PREFIX of the checkpoint that is named by it, by PREFIX.index, or by the folder of its saved model.

    None where this is another file, or nothing. Raises OSError."""
    if path.is_file():
        return path.with_suffix("") if path.suffix == INDEX else None
    return next((prefix for prefix in (path, path / "variables/variables") if Path(f"{prefix}{INDEX}").is_file()), None)
