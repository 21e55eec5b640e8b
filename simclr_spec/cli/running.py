"""What changes the store: run, retry, cancel, gc."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import click

from simclr_spec.cli.options import (
    all_option,
    asked_for,
    budget_option,
    cells_option,
    data_root_for_compiling,
    data_root_option,
    existing_store_option,
    note,
    rehash_option,
    runner_option,
    scale_options,
    split_words,
    store_option,
    tell_queue,
    weights_root_option,
    words_argument,
)
from simclr_spec.cli.watching import entries_of
from simclr_spec.core.errors import UsageError

if TYPE_CHECKING:
    from simclr_spec.language.runner import Runner
    from simclr_spec.store.forecast import Forecast


@click.command()
@words_argument
@cells_option
@all_option
@scale_options
@store_option
@runner_option
@data_root_option
@weights_root_option
@click.option("--dry-run", is_flag=True, help="Show what would run, and start nothing.")
@budget_option
@rehash_option
@click.option("--expect", metavar="PLAN", help="Refuse any other plan than the one that `plan -o` wrote: its digest, or FILE.")
def run(
    words: Sequence[str],
    cells: Sequence[str],
    everything: bool,
    scale: str | None,
    sets: Sequence[str],
    store: str,
    runner: str,
    data_root: Sequence[str],
    dry_run: bool,
    max_gpu_hours: float | None,
    rehash: bool,
    expect: str | None,
) -> None:
    """Train what is not done yet. The same command again goes on where it stopped, and retries what failed."""
    from pathlib import Path

    from simclr_spec.cli.show.plan_file import expected_digest
    from simclr_spec.language import runner as runners
    from simclr_spec.store.forecast import make_forecast
    from simclr_spec.store.history import where
    from simclr_spec.store.layout import Store
    from simclr_spec.store.staleness import Images

    names, selector = asked_for(words, cells, scale, sets, everything=everything)
    run_folders, where_to_run = Store(Path(store)), runners.read(runner)
    tell_queue(run_folders)
    forecast = make_forecast(
        names,
        selector,
        scale=scale,
        sets=sets,
        runner=where_to_run,
        max_hours=where_to_run.max_gpu_hours if max_gpu_hours is None else max_gpu_hours,
        images=Images(run_folders, names, where(run_folders, names, data_root), thorough=True, rehash=rehash, tell=note),
    )
    if expect is not None and forecast.digest != (digest := expected_digest(expect)):
        raise UsageError(f"the plan's digest is {forecast.digest}, not {digest}: nothing started")
    if dry_run:
        _rehearse(forecast, where_to_run)
    _start(forecast, where_to_run)


def _rehearse(forecast: Forecast, runner: Runner) -> NoReturn:
    """A dry run: shows and looks at all that the run would; the exit code is the run's."""
    from simclr_spec.cli.show.plan_table import as_table
    from simclr_spec.cli.show.run import last_looks
    from simclr_spec.cli.show.width import fitted
    from simclr_spec.dispatch.run import rehearse
    from simclr_spec.store.memory import refuse_what_does_not_fit

    refuse_what_does_not_fit(forecast)
    click.echo(fitted(as_table(forecast)))
    for line in rehearse(forecast.to_run, forecast.images.store, runner):
        click.echo(line)
    last_looks(forecast, note, keep=False)
    raise click.exceptions.Exit(int(bool(forecast.stale)))


def _start(forecast: Forecast, runner: Runner) -> NoReturn:
    from simclr_spec.cli.show.run import show_run
    from simclr_spec.store.memory import refuse_what_does_not_fit

    refuse_what_does_not_fit(forecast)
    raise click.exceptions.Exit(show_run(forecast, runner, sys.argv[1:], note))


@click.command()
@words_argument
@existing_store_option
@runner_option
@data_root_option
@weights_root_option
def retry(words: Sequence[str], store: str, runner: str, data_root: Sequence[str]) -> None:
    """Run again what failed or was interrupted in the last plan, or what is selected of that, and all that waits for it."""
    from pathlib import Path

    from simclr_spec.language import runner as runners
    from simclr_spec.store.layout import Store
    from simclr_spec.store.retry import forecast_again

    names, selector = split_words(words, specs=False)
    where_to_run = runners.read(runner)
    tell_queue(Store(Path(store)))
    _start(forecast_again(Store(Path(store)), names, selector, where_to_run, data_root), where_to_run)


@click.command()
@words_argument
@scale_options
@data_root_for_compiling
@existing_store_option
def cancel(words: Sequence[str], scale: str | None, sets: Sequence[str], store: str) -> None:
    """Stop Steps that run here, with a checkpoint, and keep a run from beginning the others."""
    from pathlib import Path

    from simclr_spec.dispatch import scheduled
    from simclr_spec.store import selection
    from simclr_spec.store.jobs import under_way
    from simclr_spec.store.layout import Store

    if not words:
        raise UsageError("say what to cancel: a spec, or a selector such as state=running")
    run_folders = Store(Path(store))
    tell_queue(run_folders)
    entries = entries_of(words, scale, sets, store)
    for line in selection.cancel(entries, under_way(run_folders)):
        click.echo(line)
    scheduled.cancel(entry.folder for entry in entries)


@click.command()
@existing_store_option
@data_root_for_compiling
@click.option("--delete", is_flag=True, help="Delete it; without this nothing is touched.")
def gc(store: str, delete: bool) -> None:
    """Run folders that no declared spec and no spec that was run needs as it stands now, and attempts that did not win."""
    from pathlib import Path

    from simclr_spec.cli.show.status import garbage
    from simclr_spec.store.garbage import delete as delete_all
    from simclr_spec.store.garbage import waste_of
    from simclr_spec.store.layout import Store

    waste = waste_of(Store(Path(store)))
    for line in garbage(delete_all(waste) if delete else waste, delete):
        click.echo(line)


COMMANDS = (run, retry, cancel, gc)
