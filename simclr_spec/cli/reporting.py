"""What was measured, beside the paper's numbers: report."""

from __future__ import annotations

from collections.abc import Sequence

import click

from simclr_spec.cli.options import (
    all_option,
    data_root_for_compiling,
    existing_store_option,
    scale_options,
    split_words,
    tell_queue,
    words_argument_of,
)
from simclr_spec.core.errors import UsageError
from simclr_spec.report.formats.registry import SUFFIXES

_WRITTEN = "{} or {}".format(" ".join([*SUFFIXES.values()][:-1]), [*SUFFIXES.values()][-1])


@click.command()
@words_argument_of("report")
@all_option
@scale_options
@data_root_for_compiling
@existing_store_option
@click.option("--format", "form", type=click.Choice([*SUFFIXES]), help="Instead of FILE's.")
@click.option("-o", "--output", metavar="PATH", help=f"Write {_WRITTEN}; of several reports, a folder.")
@click.option("--curves", is_flag=True, help="Instead the training curves of a report's or a spec's Steps: .svg .png .csv.")
@click.option(
    "--strict", is_flag=True, help="Exit code 1 when a cell is missing, off, or deviates; not when undecided or unjudged."
)
def report(
    words: Sequence[str],
    everything: bool,
    scale: str | None,
    sets: tuple[str, ...],
    store: str,
    form: str | None,
    output: str | None,
    curves: bool,
    strict: bool,
) -> None:
    """Print a table: mean ± sd (n) over seeds, the state of what is missing, deviations and assumptions.

    Without a name every declared one that has a result is written into out/, with --all every one of the paper, and what
    changed since the last time is told.
    Without --scale and --set it shows the plan that ran last; WORDS such as stage=finetune leave only the cells that match."""
    from pathlib import Path

    from simclr_spec.language import declared
    from simclr_spec.report import every
    from simclr_spec.report.addresses import of_the_paper
    from simclr_spec.store.layout import Store

    names, selector = split_words(words, specs=False)
    names = list(dict.fromkeys(names))
    if everything and (names or curves):
        raise UsageError("--all is every table and figure of the paper: name no report beside it, and draw no --curves of it")
    run_folders = Store(Path(store))
    tell_queue(run_folders)
    asked = every.Asked(store=run_folders, scale=scale, sets=sets, selector=selector, form=form, output=output)
    if curves:
        every.curves_of(names, asked)
        return
    if names:
        cannot_be_shown, off = False, every.one(names[0], asked) if len(names) == 1 else every.several(names, asked)
    else:
        cannot_be_shown, off = every.everything(of_the_paper() if everything else declared.names("report"), asked)
    if cannot_be_shown or (strict and off):
        raise click.exceptions.Exit(1)


COMMANDS = (report,)
