"""One report, printed or written; several that are named; all of many that have a result, into a folder; training curves."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from simclr_spec.core.errors import SimclrSpecError, SpecError, UsageError
from simclr_spec.core.files import write_output
from simclr_spec.core.words import counted
from simclr_spec.language.coordinates import Selector
from simclr_spec.plan.overrides import refuse_unknown
from simclr_spec.report import changes, curves, select
from simclr_spec.report.addresses import specs_of
from simclr_spec.report.formats.registry import DRAWN, SUFFIXES, files
from simclr_spec.report.output import format_of, show, write
from simclr_spec.report.table import Table, make
from simclr_spec.store.layout import Store

FOLDER = "out"
INDEX = "index.html"
FORMS = ("markdown", "csv")
ONE_DOCUMENT = ("json", "csv", "html", *DRAWN)
"""Formats of which two after each other are none."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a person wants to see of reports: of which plan, how much of it, in which format and where."""

    store: Store
    scale: str | None
    sets: tuple[str, ...]
    selector: Selector | None
    form: str | None
    output: str | None
    """a file, or of several reports a folder"""

    def table(self, name: str) -> Table:
        return make(name, self.store, self.scale, self.sets, self.selector)


def one(name: str, asked: Asked) -> bool:
    """Print the report, or write it into the file; whether it is off. Raises UsageError, and any fault of the report."""
    if asked.output is not None and Path(asked.output).resolve() == Path(name).resolve():
        raise UsageError(f"{asked.output} is the report itself: name another file for the table")
    form = format_of(asked.form, asked.output)
    refuse_unknown(asked.sets, specs_of([name]))
    table = asked.table(name)
    write(table, form, asked.output)
    return table.is_off


def several(names: Sequence[str], asked: Asked) -> bool:
    """Print the reports `names`, or write them into the folder `output`; whether one is off. Raises any fault of them.

    Each takes those of the `sets` that concern it."""
    folder, form = asked.output, asked.form
    if folder is not None:
        _check(folder, [Path(folder, file).resolve() for name in names for file in _files(name, form)], names)
    refuse_unknown(asked.sets, specs_of(names))
    tables = {name: asked.table(name) for name in names}
    if lacking := [name for name, table in tables.items() if form in DRAWN and not table.report.figures]:
        raise UsageError(f"{lacking[0]} has no figure to write as {SUFFIXES[form or '']}: leave it out")
    if folder is not None:
        print(f"written: {', '.join(file for name, table in tables.items() for file in _write(name, table, form, folder))}")
    elif form in ONE_DOCUMENT:
        raise UsageError(f"several reports are no one {form} document: name a folder for them, as in -o {FOLDER}")
    else:
        for number, table in enumerate(tables.values()):
            print(end="\n" * bool(number))
            write(table, form or "table", None)
    return any(table.is_off for table in tables.values())


def everything(names: Sequence[str], asked: Asked) -> tuple[bool, bool]:
    """Write those of these declared reports that have a result into the folder, and tell what changed since the last time.

    Each takes those of the `sets` that concern it. Returns whether one cannot be shown, and whether one is off."""
    folder, form = asked.output or FOLDER, asked.form
    _check(folder, [], [])
    refuse_unknown(asked.sets, specs_of(names))
    found = list(_with_results(names, asked))
    tables = {name: table for name, table in found if isinstance(table, Table)}
    before, now = changes.remembered(folder), changes.shown(tables)
    written = [file for name, table in tables.items() for file in _write(name, table, form, folder)]
    if tables:
        written += [] if form else [_page(tables, folder)]
        written.append(changes.remember(folder, now, before))
    for name, error in found:
        if isinstance(error, SimclrSpecError):
            print(f"{name} cannot be shown: {_brief(name, error)}", file=sys.stderr)
    for line in changes.since(before, now, tables):
        print(line)
    if written:
        index = "" if form else f", of which {Path(folder) / INDEX} shows all"
        print(f"written: {counted(len(written), 'file')} into {folder}{index}")
    if not found:
        which = f"None of {counted(len(names), 'report')}"
        print(f"{which} has a result in {asked.store.path}; `simclr-spec list` names them, `simclr-spec run` begins one.")
    return len(tables) < len(found), not tables or any(table.is_off for table in tables.values())


def curves_of(names: Sequence[str], asked: Asked) -> None:
    """Training curves into the file, or to standard output. Raises UsageError, and any fault of the report or spec."""
    if len(names) != 1:
        raise UsageError("--curves wants the name of one report, or spec")
    form = format_of(asked.form, asked.output)
    if form not in curves.FORMATS:
        raise UsageError(
            f"curves are drawn as .svg or .png, or written as .csv: name such a file, as in -o {Path(names[0]).stem}-curves.svg"
        )
    found = curves.make_curves(names[0], asked.store, asked.scale, asked.sets, asked.selector)
    content = _curves_as(form, found)
    if asked.output is None:
        show({form: content}, f"{Path(names[0]).stem}-curves.{form}")
    else:
        write_output(asked.output, content)
        print(f"{asked.output}: curves of {counted(len(found.steps), 'Step')}")


def _curves_as(form: str, found: curves.Curves) -> str | bytes:
    if form == "csv":
        return curves.as_csv(found)
    from simclr_spec.report.figures import training

    return training.svg(found) + "\n" if form == "svg" else training.png(found)


def _check(folder: str, files: Sequence[Path], names: Sequence[str]) -> None:
    """Raises UsageError where a file would hold two tables, or take the place of a report."""
    if Path(folder).is_file():
        raise UsageError(f"{folder} is a file, and several reports go into a folder: name another with -o")
    if Path(folder).suffix in SUFFIXES.values():
        raise UsageError(f"-o {folder}: a file holds one report, so name one of them; or name a folder for all")
    if len(set(files)) < len(files):
        raise UsageError(f"-o {folder}: two of these reports have one name, and so would their tables: write them one by one")
    if found := set(files) & {Path(name).resolve() for name in names}:
        raise UsageError(f"{min(found)} is a report itself: name another folder for the tables")


def _with_results(names: Sequence[str], asked: Asked) -> Iterator[tuple[str, Table | SimclrSpecError]]:
    """Every one of the reports with a finished Step; or what keeps one from being shown, which hides no other.

    Raises UsageError where none of them has a cell that the selector selects."""
    without: list[UsageError] = []
    nowhere: list[tuple[str, SpecError]] = []
    shown = 0
    for name in names:
        try:
            table = replace(asked, selector=None).table(name)
        except SimclrSpecError as error:
            if isinstance(error, SpecError) and _is_impossible_so(name, asked):
                nowhere.append((name, error))
            else:
                yield name, error
            continue
        try:
            if table.finished:
                yield name, table if asked.selector is None else asked.table(name)
                shown += 1
        except UsageError as error:
            without.append(error)
    if len(nowhere) == len(names):
        yield from nowhere
    if without and not shown:
        raise without[0]


def _is_impossible_so(name: str, asked: Asked) -> bool:
    """Whether only the scale or the changes that are asked for leave the report no plan, and so no result."""
    if asked.scale is None and not asked.sets:
        return False
    try:
        select.validate(name)
    except SimclrSpecError:
        return False
    return True


def _brief(name: str, error: SimclrSpecError) -> str:
    first, *more = str(error).splitlines()
    return first + (f" (and {len(more)} more: simclr-spec report {name})" if more else "")


def _files(name: str, form: str | None) -> list[str]:
    """NAME.md and NAME.csv, or the one file of `form`."""
    return [Path(name).stem + SUFFIXES[each] for each in ([form] if form else FORMS)]


def _page(tables: Mapping[str, Table], folder: str) -> str:
    """One page of all: the paper's before others, and tables before what has figures."""
    from simclr_spec.report.formats import html

    file = str(Path(folder) / INDEX)
    ordered = sorted(tables.values(), key=lambda table: (not table.report.source, bool(table.report.figures)))
    write_output(file, html.page(ordered))
    return file


def _write(name: str, table: Table, form: str | None, folder: str) -> list[str]:
    """Of a report with figures these too; in a format of figures, of such a report only."""
    written: list[str] = []
    forms = [form] if form else [*FORMS, *DRAWN]
    for file_form in forms if table.report.figures else [each for each in forms if each not in DRAWN]:
        file = Path(name).stem + SUFFIXES[file_form]
        for path, content in files(file_form, table, str(Path(folder) / file)).items():
            write_output(path, content)
            written.append(path)
    return written
