"""What `simclr-spec export` writes, and the weights in a run folder: our own names, and in the metadata which network it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from simclr_spec.core.errors import WeightsError
from simclr_spec.core.words import shown, typed
from simclr_spec.stages.imports import TRAINING
from simclr_spec.train.checkpoint import head_layers
from simclr_spec.train.model.about import About, read_about
from simclr_spec.train.weights.files import opened
from simclr_spec.train.weights.held import Held, Wanted, convolutions


def held(path: Path, wanted: Wanted) -> Held:
    tensors = opened(path)
    about = read_about(path) if path.suffix == ".safetensors" else None
    if about is None:
        raise WeightsError(f"{shown(path)} does not say which network its tensors are of: simclr-spec did not write it")
    for name, found, asked in _facts(wanted, about):
        if found != asked:
            raise WeightsError(f"{shown(path)} holds a network of {name} {typed(found)}, and {typed(asked)} is wanted")
    convs = [f"{conv}.weight" for conv, _ in convolutions(wanted.network)]
    classifier = tensors.shapes.get("classifier.weight")
    return Held(
        tensors=tensors,
        kernels=[tensors.shapes[name] for name in convs if name in tensors.shapes],
        names={name: name for name in tensors.shapes},
        layers=head_layers(tensors.shapes),
        classes=classifier[0] if classifier else None,
    )


def _facts(wanted: Wanted, about: About) -> Iterator[tuple[str, Any, Any]]:
    """What a network does besides its shapes: in words, in the file, as it is wanted."""
    for name, value in asdict(about.encoder).items():
        if name not in TRAINING:
            yield f"encoder.{name}", value, getattr(wanted.encoder, name)
    if wanted.weights.head_layers and about.head:
        for name, value in asdict(about.head).items():
            yield f"head.{name}", value, getattr(wanted.head, name)
    if wanted.weights.classes:
        yield "from_layer", about.from_layer or 0, wanted.weights.from_layer
