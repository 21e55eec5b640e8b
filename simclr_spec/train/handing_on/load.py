"""A trained network in one line, from a run folder or a file that may be anybody's: nothing in it is ever executed."""

from __future__ import annotations

import os
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from simclr_spec.core.errors import WeightsError
from simclr_spec.core.words import shown
from simclr_spec.store.layout import RunFolder
from simclr_spec.train.model.about import KEY, read_about
from simclr_spec.train.model.network import Network


def load(path: str | os.PathLike[str]) -> Network:
    """The network of a done Step's run folder, of its weights, or of an exported .safetensors file.

    A torch.nn.Module in eval mode, on the CPU, in float32: (B, 3, S, S) in [0, 1] -> logits (B, classes), or features (B, D)
    where there is no classifier. `classes` has their names, perhaps none; `image_size` is S; `preprocess(image or path)` gives
    (3, S, S) as an evaluation sees it; `features(x, layer=0)` (B, D) of the encoder, or of one of the head's layers there.
    Raises WeightsError where the file is none of these, is damaged, or its tensors do not fit.
    """
    place = Path(path)
    folder = RunFolder(place) if place.is_dir() else RunFolder.around(place)
    return (Network.of_folder(folder) if folder else read_file(place)).eval()


def read_file(path: Path) -> Network:
    """Of a file of safetensors that says which network it is of. Raises WeightsError."""
    about = read_about(path)
    if about is None:
        raise WeightsError(f"{shown(path)} does not say which network its tensors are of: it has no metadata {KEY!r}")
    try:
        return Network(about, load_file(path), path)
    except (SafetensorError, TypeError, ValueError, RuntimeError, LookupError, ArithmeticError):
        raise WeightsError(
            f"{shown(path)} holds no network: nothing can have the sizes that its metadata {KEY!r} tells"
        ) from None
