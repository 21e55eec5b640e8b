"""Separius' conversions of the official checkpoints, and lightly-ai's copies: two state dicts, `resnet` and `head`.

The head's last BN has a β there, of zeros.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from simclr_spec.train.model.encoder import Encoder, SelectiveKernel
from simclr_spec.train.weights.files import opened
from simclr_spec.train.weights.held import Held, Wanted, blocks, by_leaf

_EACH = 3
"""Modules of a layer of the head there: its matrix, its BN, its ReLU."""


def held(path: Path, wanted: Wanted) -> Held:
    tensors = opened(path)
    modules = dict(_modules(wanted.network, sk=wanted.encoder.sk))
    layers = 0
    while f"head.layers.{_EACH * layers}.weight" in tensors.shapes:
        modules[f"head.layers.{layers}.dense"] = f"head.layers.{_EACH * layers}"
        modules[f"head.layers.{layers}.norm"] = f"head.layers.{_EACH * layers + 1}"
        layers += 1
    classifier = tensors.shapes.get("resnet.fc.weight")
    return Held(
        tensors=tensors,
        kernels=[shape for name, shape in tensors.shapes.items() if name.startswith("resnet.net.") and len(shape) == 4],
        names=by_leaf({**modules, "classifier": "resnet.fc"}),
        layers=layers,
        classes=classifier[0] if classifier else None,
    )


def _modules(encoder: Encoder, *, sk: bool) -> Iterator[tuple[str, str]]:
    """Our module, theirs. Sequences there have a convolution, its BN with a ReLU, and so on."""
    for number in range(len(encoder.stem)):
        yield f"encoder.stem.{number}.conv", f"resnet.net.0.{2 * number}"
        yield f"encoder.stem.{number}.norm", f"resnet.net.0.{2 * number + 1}.0"
    for group, number, block in blocks(encoder):
        ours, theirs = f"encoder.group{group}.{number}", f"resnet.net.{group}.blocks.{number}"
        yield f"{ours}.shortcut.conv", f"{theirs}.projection.shortcut" + ".2" * sk  # after padding and pooling
        yield f"{ours}.shortcut.norm", f"{theirs}.projection.bn.0"
        place = 0
        for layer, module in block.layers.named_children():
            if isinstance(module, SelectiveKernel):
                mixed = f"{theirs}.net.{place}"
                yield f"{ours}.layers.{layer}.streams.conv", f"{mixed}.main_conv.0"
                yield f"{ours}.layers.{layer}.streams.norm", f"{mixed}.main_conv.1.0"
                yield f"{ours}.layers.{layer}.squeeze", f"{mixed}.mixing_conv.0"
                yield f"{ours}.layers.{layer}.norm", f"{mixed}.mixing_conv.1.0"
                yield f"{ours}.layers.{layer}.expand", f"{mixed}.mixing_conv.2"
                place += 1
            else:
                yield f"{ours}.layers.{layer}.conv", f"{theirs}.net.{place}"
                yield f"{ours}.layers.{layer}.norm", f"{theirs}.net.{place + 1}.0"
                place += 2
