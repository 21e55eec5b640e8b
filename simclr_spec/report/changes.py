"""What a folder of reports shows that it did not show the last time: <folder>/cells.json remembers every cell."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from simclr_spec.core.errors import SimclrSpecError
from simclr_spec.core.files import read_json, write_output
from simclr_spec.report.table import Table, begun
from simclr_spec.report.text import measured

FILE = "cells.json"
_MOST = 8
"""Changed cells of one report that are named."""
Shown = Mapping[str, Mapping[str, str]]
"""Report -> cell -> what stands there; and under SETTING the subtitle."""
SETTING = ""


def shown(tables: Mapping[str, Table]) -> dict[str, dict[str, str]]:
    """Cells that were begun, as they are written."""
    return {
        name: {SETTING: " · ".join(table.subtitle)} | {cell.address: measured(cell) for cell in table.cells if begun(cell)}
        for name, table in tables.items()
    }


def remembered(folder: str) -> Shown:
    """Of the last time; nothing where there was none, or its file is damaged: then all is new."""
    try:
        found = read_json(Path(folder) / FILE) or {}
    except SimclrSpecError:
        return {}
    return found if all(map(_is_of_a_report, found.values())) else {}


def _is_of_a_report(cells: object) -> bool:
    return isinstance(cells, dict) and SETTING in cells and all(isinstance(text, str) for text in cells.values())


def remember(folder: str, now: Shown, before: Shown) -> str:
    """The file's name. Reports that are not shown now keep what they showed."""
    file = str(Path(folder) / FILE)
    write_output(file, json.dumps({**before, **now}, indent=1, ensure_ascii=False) + "\n")
    return file


def since(before: Shown, now: Shown, tables: Mapping[str, Table]) -> Iterator[str]:
    """A line for each report, and one for each of its cells that changed."""
    wide = max(map(len, tables), default=0)
    for name, cells in now.items():
        old = before.get(name, {})
        changed = [key for key in cells if key != SETTING and old.get(key) != cells[key]]
        gone = [key for key in old if key not in cells]
        yield f"{name:{wide}}  {tables[name].filled}, {_told(old, cells, changed, gone)}"
        for key in changed[:_MOST] if old else ():
            yield f"  {key}  {old[key] + ' → ' if key in old else ''}{cells[key]}"
        if old and len(changed) > _MOST:
            yield f"  ... and {len(changed) - _MOST} more"


def _told(old: Mapping[str, str], cells: Mapping[str, str], changed: Sequence[str], gone: Sequence[str]) -> str:
    """`12 new, 3 changed, 1 gone`."""
    if not old:
        return "first time"
    new = sum(key not in old for key in changed)
    parts = [(new, "new"), (len(changed) - new, "changed"), (len(gone), "gone")]
    told = ", ".join(f"{count} {word}" for count, word in parts if count) or "as last time"
    return told if old.get(SETTING) == cells[SETTING] else f"{told}; last time: {old.get(SETTING)}"
