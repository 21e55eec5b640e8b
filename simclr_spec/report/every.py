"""Several reports at once: those named, or all declared ones that have a result; printed, and written into a folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from simclr_spec import library
from simclr_spec.coordinates import Selector
from simclr_spec.errors import SimclrSpecError, UsageError
from simclr_spec.report import render
from simclr_spec.report.table import Table, make
from simclr_spec.store import Store, write_output

FOLDER = "out"
FORMS = ("markdown", "csv")


def several(
    names: Sequence[str],
    store: Store,
    scale: str | None,
    sets: tuple[str, ...],
    selector: Selector | None,
    form: str | None,
    folder: str | None,
) -> tuple[bool, bool]:
    """Print the reports `names`, or write them into the folder; without names all that have a result, printed and written.

    Returns whether one cannot be shown, and whether one is off. Raises UsageError, and of named reports any fault.
    """
    if folder is not None:
        _check(folder, [Path(folder, file).resolve() for name in names for file in _files(name, form)], names)
    named = ((name, make(name, store, scale, sets, selector)) for name in names)
    failed, off, shown, written = False, False, 0, list[str]()
    for name, table in named if names else _with_results(store, scale, sets, selector):
        if isinstance(table, SimclrSpecError):
            print(f"{name} cannot be shown: {_brief(name, table)}", file=sys.stderr)
            failed = True
            continue
        if not (names and folder):
            print(end="\n" * bool(shown))
            render.write(table, (names and form) or "table", None)
        if folder or not names:
            written += _write(name, table, form, folder or FOLDER)
        off, shown = off or table.is_off, shown + 1
    if written:
        print(end="\n" * (not names))
        print(f"written: {', '.join(written)}")
    if not (shown or failed):
        print(f"No declared report has a result in {store.path}; `simclr-spec list` names them, `simclr-spec run` begins one.")
    return failed, off or not shown


def _check(folder: str, files: Sequence[Path], names: Sequence[str]) -> None:
    """Raises UsageError where a file would hold two tables, or take the place of a report."""
    if Path(folder).suffix in render.EXTENSIONS:
        raise UsageError(f"-o {folder}: a file holds one report, so name one of them; or name a folder for all")
    if len(set(files)) < len(files):
        raise UsageError(f"-o {folder}: two of these reports have one name, and so would their tables: write them one by one")
    if found := set(files) & {Path(name).resolve() for name in names}:
        raise UsageError(f"{min(found)} is a report itself: name another folder for the tables")


def _with_results(
    store: Store, scale: str | None, sets: tuple[str, ...], selector: Selector | None
) -> Iterator[tuple[str, Table | SimclrSpecError]]:
    """Every declared report with a finished Step; or what keeps one from being shown, which hides no other."""
    for name in library.names("report"):
        try:
            table = make(name, store, scale, sets)
            if table.finished:
                yield name, table if selector is None else make(name, store, scale, sets, selector)
        except SimclrSpecError as error:
            yield name, error


def _brief(name: str, error: SimclrSpecError) -> str:
    first, *more = str(error).splitlines()
    return first + (f" (and {len(more)} more: simclr-spec report {name})" if more else "")


def _files(name: str, form: str | None) -> dict[str, str]:
    """NAME.md and NAME.csv, or the one file of `form`: file -> format."""
    extensions = {form: extension for extension, form in render.EXTENSIONS.items()}
    return {Path(name).stem + extensions[one]: one for one in ([form] if form else FORMS)}


def _write(name: str, table: Table, form: str | None, folder: str) -> list[str]:
    files = {str(Path(folder) / file): one for file, one in _files(name, form).items()}
    for file, one in files.items():
        write_output(file, render.FORMATS[one](table))
    return list(files)
