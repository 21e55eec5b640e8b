"""What was trained, handed on: export, predict, embed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from simclr_spec.cli.options import Command, existing_store_option
from simclr_spec.core.errors import UsageError

if TYPE_CHECKING:
    from simclr_spec.train.model.network import Network


def step_argument(command: Command) -> Command:
    """STEP, alike on all of these."""
    return click.argument("step", metavar="STEP")(existing_store_option(command))


def images_argument(command: Command) -> Command:
    """FOLDER of predict and embed."""
    return click.argument("images", metavar="FOLDER", type=click.Path())(command)


@click.command()
@step_argument
@click.option("-o", "--output", metavar="DIR", help="Instead of out/export/LABEL-FINGERPRINT.")
@click.option(
    "--format", "form", type=click.Choice(["safetensors", "torchscript", "onnx"]), default="safetensors", show_default=True
)
@click.option("--licence", metavar="TEXT", help="Under which you hand on what you trained; imported weights keep theirs.")
def export(step: str, store: str, output: str | None, form: str, licence: str | None) -> None:
    """Write a trained network as a whole: model.safetensors, a model card, and model.pt or model.onnx where asked for.

    STEP is a run folder, the first letters of a fingerprint, an exported file, or in quotes a spec and coordinates:
    'quickstart stage=finetune seed=0'."""
    from dataclasses import replace
    from pathlib import Path

    from simclr_spec.core.files import write_output
    from simclr_spec.report.card import card
    from simclr_spec.store.layout import RunFolder, Store
    from simclr_spec.store.naming import trained
    from simclr_spec.train.handing_on.export import CARD, export
    from simclr_spec.train.handing_on.load import load

    found = trained(step, Store(Path(store)))
    network = load(found)
    about = network.about
    if licence and licence not in about.licence:
        network.about = replace(about, licence=(*about.licence, licence))
    place = Path(output or Path("out", "export", f"{about.label}-{about.fingerprint[:8]}"))
    written = export(network, place, form)
    folder = RunFolder(found) if found.is_dir() else None
    text = card(network.about, folder, [path.name for path in written], network.class_count, network.layers)
    write_output(str(place / CARD), text)
    click.echo(f"written: {', '.join(map(str, [*written, place / CARD]))}")


def network_of(step: str, store: str) -> Network:
    """Of that STEP."""
    from pathlib import Path

    from simclr_spec.store.layout import Store
    from simclr_spec.store.naming import trained
    from simclr_spec.train.handing_on.load import load

    return load(trained(step, Store(Path(store))))


@click.command()
@step_argument
@images_argument
@click.option("-o", "--output", metavar="FILE.csv", help="Instead of standard output.")
@click.option("--classes", metavar="FILE", help="Names, one a line, for a network that has none.")
def predict(step: str, images: str, store: str, output: str | None, classes: str | None) -> None:
    """The five likeliest classes of every image below FOLDER, as CSV: file, then class and probability five times.

    STEP as in export. Where an image cannot be read all such are told, and nothing is written."""
    from pathlib import Path

    from simclr_spec.train.handing_on import images as seen
    from simclr_spec.train.handing_on.streamed import streamed

    names = _lines(classes) if classes else []
    network, folder = network_of(step, store), seen.Folder(Path(images))
    with streamed(output) as out:
        seen.predict(network, folder, out, names)
    if output:
        click.echo(f"{output}: {_counted(len(folder))}")


@click.command()
@step_argument
@images_argument
@click.option("-o", "--output", metavar="FILE", required=True, help="A file that ends in .npz or .parquet.")
@click.option("--layer", type=click.IntRange(0), default=0, show_default=True, help="Of the head; 0 = the encoder's.")
def embed(step: str, images: str, store: str, output: str, layer: int) -> None:
    """Features of every image below FOLDER, float32, with the files' names.

    STEP as in export."""
    from importlib.util import find_spec
    from pathlib import Path

    suffix = Path(output).suffix
    if suffix not in (".npz", ".parquet"):
        raise UsageError(f"{output}: features are written as .npz or .parquet")
    if suffix == ".parquet" and find_spec("pyarrow") is None:
        raise UsageError("Parquet needs pyarrow: pip install 'simclr-spec[parquet]'")
    from simclr_spec.train.handing_on import images as seen
    from simclr_spec.train.handing_on.streamed import streamed

    network, folder = network_of(step, store), seen.Folder(Path(images))
    with streamed(output) as out:
        features = seen.embed(network, folder, layer)
        (seen.write_npz if suffix == ".npz" else seen.write_parquet)(out, folder.files, features)
    click.echo(f"{output}: {features.shape[1]} features of {_counted(len(folder))}")


def _counted(images: int) -> str:
    from simclr_spec.core.words import counted

    return counted(images, "image")


def _lines(file: str) -> list[str]:
    from pathlib import Path

    try:
        return Path(file).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is no text in UTF-8: --classes wants names, one a line") from None


COMMANDS = (export, predict, embed)
