"""What is known of runs: status, logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from simclr_spec.cli.options import (
    asked_for,
    data_root_for_compiling,
    existing_store_option,
    scale_options,
    tell_queue,
    words_argument,
)

if TYPE_CHECKING:
    from simclr_spec.store.selection import Entry


def entries_of(
    words: Sequence[str], scale: str | None, sets: Sequence[str], store: str, must_match: bool = True
) -> list[Entry]:
    """The Steps that WORDS select, of the specs named or of the whole store."""
    from pathlib import Path

    from simclr_spec.store.layout import Store
    from simclr_spec.store.selection import entries

    names, selector = asked_for(words, (), scale, sets, specs=False)
    return entries(Store(Path(store)), names, selector, scale, sets, must_match)


@click.command()
@words_argument
@scale_options
@data_root_for_compiling
@existing_store_option
@click.option("--watch", is_flag=True, help="Again every two seconds, until nothing runs.")
def status(words: Sequence[str], scale: str | None, sets: Sequence[str], store: str, watch: bool) -> None:
    """States of Steps: of the specs named, or of the whole store."""
    import time
    from pathlib import Path

    from simclr_spec.cli.show.status import orphans
    from simclr_spec.cli.show.status import status as status_table
    from simclr_spec.cli.show.width import fitted
    from simclr_spec.store.garbage import unneeded
    from simclr_spec.store.jobs import under_way
    from simclr_spec.store.layout import Store

    run_folders = Store(Path(store))
    while True:
        tell_queue(run_folders)
        entries = entries_of(words, scale, sets, store, must_match=not watch)
        if watch:
            click.clear()
        click.echo(fitted(status_table(entries)))
        if not watch:
            if line := orphans(unneeded(run_folders, entries)):
                click.echo(line)
            return
        goes_on = any(entry.state in ("running", "queued") for entry in entries) or run_folders.open_arrays()
        if not (under_way(run_folders) or goes_on):
            return
        time.sleep(2)


@click.command()
@words_argument
@scale_options
@data_root_for_compiling
@existing_store_option
@click.option("-n", "--lines", type=click.IntRange(0), default=10, show_default=True, help="Last lines of each; 0 for all.")
@click.option("-f", "--follow", is_flag=True, help="And new lines as they come, until none of these Steps runs.")
def logs(words: Sequence[str], scale: str | None, sets: Sequence[str], store: str, lines: int, follow: bool) -> None:
    """The newest log of Steps, as in: logs state=failed."""
    from pathlib import Path

    from simclr_spec.cli.show import status as status_view
    from simclr_spec.store.jobs import under_way
    from simclr_spec.store.layout import Store

    def look() -> list[Entry]:
        tell_queue(Store(Path(store)))
        return entries_of(words, scale, sets, store, must_match=not follow)

    if follow:
        log_lines = status_view.follow(look, lambda: under_way(Store(Path(store))), lines)
    else:
        log_lines = status_view.logs(look(), lines)
    for line in log_lines:
        click.echo(line)


COMMANDS = (status, logs)
