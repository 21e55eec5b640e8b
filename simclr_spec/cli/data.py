"""This computer and its data: doctor, pin, fetch-lists, weights."""

from __future__ import annotations

from collections.abc import Sequence

import click

from simclr_spec.cli.options import (
    completes,
    data_root_option,
    note,
    rehash_option,
    scale_options,
    split_words,
    store_option,
    weights_root_option,
    words_argument,
)
from simclr_spec.core.errors import UsageError


@click.command()
@words_argument
@scale_options
@store_option
@data_root_option
@rehash_option
@click.option("--runner", metavar="NAME", shell_complete=completes("runner"), help="Look at this runner's cluster instead.")
@click.option(
    "--wait", type=click.FloatRange(min=1), default=300.0, show_default=True, help="Seconds for a job to look around."
)
def doctor(
    words: Sequence[str],
    scale: str | None,
    sets: Sequence[str],
    store: str,
    data_root: Sequence[str],
    rehash: bool,
    runner: str | None,
    wait: float,
) -> None:
    """Versions, devices, data roots, schedulers, the store; or a cluster, for a spec where one is named beside --runner."""
    from pathlib import Path

    from simclr_spec.cli.show.doctor import examine, examine_cluster
    from simclr_spec.language import runner as runners
    from simclr_spec.store.layout import Store

    if runner is None:
        if words or scale or sets:
            raise UsageError("doctor looks at a spec beside --runner only")
        lines = examine(store, data_root, rehash)
    else:
        selected = split_words(words) if words else ([], None)
        lines = examine_cluster(runners.read(runner), *selected, scale, sets, Store(Path(store)), data_root, wait, note)
    faulty = False
    for line in lines:
        click.echo(line)
        faulty |= line.startswith("✗")
    raise click.exceptions.Exit(int(faulty and runner is not None))


@click.command()
@click.argument("dataset", metavar="DATASET", shell_complete=completes("dataset"))
@store_option
@data_root_option
@rehash_option
def pin(dataset: str, store: str, data_root: Sequence[str], rehash: bool) -> None:
    """Say which images are meant: their digest goes into the data-set file DATASET, and so into new Steps.

    Of a declared data set the digest is printed, for --set."""
    from pathlib import Path

    from simclr_spec.store.layout import Store
    from simclr_spec.store.pin import pin_images

    click.echo(pin_images(dataset, Store(Path(store)), data_root, rehash=rehash, tell=note))


@click.command("fetch-lists")
@click.option("--data-root", "data_root", multiple=True, metavar="DIR", help="Where to put them: DIR/imagenet_subsets.")
def fetch_lists(data_root: Sequence[str]) -> None:
    """Fetch the published lists of labelled images, verified by SHA-256, unless they are there."""
    from simclr_spec.language import fetch

    for line in fetch.fetch_lists(data_root):
        click.echo(line)


@click.command()
@click.argument("name", metavar="[NAME]", required=False, shell_complete=completes("weights"))
@weights_root_option
def weights(name: str | None) -> None:
    """Published weights: which files declare them, or every network of one: the paper's number, and whether it is at hand."""
    from simclr_spec.cli.show import weights as shown

    click.echo(shown.networks(name) if name else shown.declared_files())


COMMANDS = (doctor, pin, fetch_lists, weights)
