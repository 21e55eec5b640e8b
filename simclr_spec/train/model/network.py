"""A trained network as others use it: built from what its weights say of themselves, and of nothing that they do not fill."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from simclr_spec.core.errors import UsageError, WeightsError
from simclr_spec.core.files import read_json
from simclr_spec.core.words import counted, shown
from simclr_spec.stages.common import EvaluationConfig
from simclr_spec.store.layout import RunFolder
from simclr_spec.train.checkpoint import fitting, head_layers, read_weights
from simclr_spec.train.data import photos
from simclr_spec.train.model.about import About, read_about
from simclr_spec.train.model.encoder import Encoder
from simclr_spec.train.model.heads import Classifier, ProjectionHead
from simclr_spec.train.tensors import sound
from simclr_spec.train.views.augment import evaluation_view

if TYPE_CHECKING:
    from PIL import Image

Self = TypeVar("Self", bound="Network")


class Network(nn.Module):
    """(B, 3, S, S) in [0, 1] -> logits (B, classes); without a classifier the encoder's features (B, D)."""

    def __init__(self, about: About, weights: Mapping[str, Tensor], source: Path) -> None:
        """Raises WeightsError, naming the `source`, where it holds no such network, or tensors that none has."""
        super().__init__()
        self.about = about
        kernel, kept = weights.get("classifier.weight"), head_layers(weights)
        with torch.device("meta"):  # takes no memory, whatever a file says of itself
            self.encoder = Encoder(about.encoder)
            features = self.encoder.features
            self.head = ProjectionHead(features, about.head, about.encoder, kept) if about.head and kept else None
            self.classifier = None if kernel is None else Classifier(self._below(source), kernel.shape[:1].numel())
        found = fitting(self.state_dict(), weights, source)
        tensors = {name: sound(tensor, name, f"{name} in {shown(source)}") for name, tensor in found}
        if self.classes and len(self.classes) != self.class_count:
            named, told = counted(len(self.classes), "class"), self.class_count or 0
            raise WeightsError(f"{shown(source)} names {named}, and its network tells {told:,} apart")
        self.load_state_dict(tensors, assign=True)

    def _below(self, source: Path) -> int:
        """Width of what its classifier sits on."""
        if self.top > self.layers:
            there = f"{counted(self.layers, 'layer')} of it"
            raise WeightsError(f"{shown(source)} has a classifier on layer {self.top} of a projection head, and {there}")
        return self.encoder.features if self.head is None else self.head.widths[self.top]

    @classmethod
    def of_folder(cls: type[Self], folder: RunFolder) -> Self:
        """Of a done Step. Raises WeightsError."""
        return cls(*handed_on(folder), folder.path)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names in the order of the logits; empty where nobody knows them."""
        return self.about.classes

    @property
    def class_count(self) -> int | None:
        """None without a classifier."""
        return None if self.classifier is None else self.classifier.out_features

    @property
    def image_size(self) -> int:
        """Side of the images of its Step, in pixels."""
        return self.about.image_size

    @property
    def layers(self) -> int:
        """Of the projection head, those that are kept."""
        return 0 if self.head is None else len(self.head.layers)

    @property
    def top(self) -> int:
        """Layer of the projection head on which its classifier sits, if it has one; 0 = the encoder's output."""
        return self.about.from_layer or 0

    def sight(self) -> EvaluationConfig:
        """How it sees images. Raises UsageError where nothing says so."""
        if self.about.preprocessing is None:
            raise UsageError(
                f"nothing says how {self.about.label} sees images, since it was neither trained nor tested here: take a Step "
                "that tests it or starts from it, or give the network tensors (B, 3, S, S) in [0, 1]"
            )
        return self.about.preprocessing

    def forward(self, x: Tensor) -> Tensor:
        if self.classifier is None:
            return self.features(x)
        logits: Tensor = self.classifier(self.features(x, self.top))
        return logits

    def features(self, x: Tensor, layer: int = 0) -> Tensor:
        """(B, 3, S, S) -> (B, D): of the encoder, or of that layer of its head. Raises UsageError where there is none."""
        if not 0 <= layer <= self.layers:
            there = f"layers 0 to {self.layers}" if self.layers else "layer 0, the encoder's output, alone"
            raise UsageError(f"there is no layer {layer}: this network has {there}")
        h: Tensor = self.encoder(x)
        for part in () if self.head is None else self.head.layers[:layer]:
            h = part(h)
        return h

    def preprocess(self, image: Image.Image | str | os.PathLike[str]) -> Tensor:
        """An opened image, or the path of one -> (3, S, S) in [0, 1], as an evaluation sees it. Raises DataError."""
        asked = self.sight()
        read: Any = photos.decoded if isinstance(image, (str, os.PathLike)) else photos.of_picture
        return evaluation_view(read(image, asked.orientation)[None], asked, self.image_size)[0]


def handed_on(folder: RunFolder) -> tuple[About, dict[str, Tensor]]:
    """Of a done Step: what is known of its network, and its tensors, what it took from its parent as it is included.

    One that leaves no weights has looked at its parent's network: that is it, as this Step sees images."""
    step = read_json(folder.step, "kind", "fingerprint", "label", "params", "needs")
    if step is None:
        raise WeightsError(f"{folder.path} is no run folder: it has no {folder.step.name}")
    weights = read_weights(folder)
    about = read_about(folder.weights) or About.of_step(step)
    if not any(name.startswith("encoder.") for name in weights) and (parent := step["needs"].get("from")):
        below, tensors = handed_on(folder.store.folder(parent["folder"]))
        about, weights = about if weights else about.looking_at(below), tensors | weights
    return about, weights
