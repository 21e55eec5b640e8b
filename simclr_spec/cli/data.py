"""This computer and its data: doctor, pin, fetch-lists."""

from __future__ import annotations

from collections.abc import Sequence

import click

from simclr_spec.cli.options import completes, data_root_option, note, rehash_option, store_option


@click.command()
@store_option
@data_root_option
@rehash_option
def doctor(store: str, data_root: Sequence[str], rehash: bool) -> None:
    """Versions, devices, data roots, schedulers, the store."""
    from simclr_spec.cli.show.doctor import examine

    for line in examine(store, data_root, rehash):
        click.echo(line)


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


COMMANDS = (doctor, pin, fetch_lists)
