"""The official code's checkpoints and saved models.

A layer's name ends in how many of its class were made before it; none means the first. So the encoder's convolutions, and its
BNs, are counted in the order of `convolutions`, whatever scopes stand before: `base_model/conv2d_3/kernel`, or
`resnet/block_group1/residual_block/conv2d_fixed_padding_3/conv2d_3/kernel`. A pretrained checkpoint holds a second network,
`ema_model/…`, the moving averages of the first. The rest (momenta of the optimiser, counters) is no network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from simclr_spec.core.errors import WeightsError
from simclr_spec.core.words import shown
from simclr_spec.data.bundle.bundle import Bundle, find
from simclr_spec.train.weights.held import Held, Wanted, convolutions, turned

AXES = {4: (3, 2, 0, 1), 2: (1, 0)}
_STEP = "global_step"
_AVERAGES = " {} ema_model/ (the moving averages)"
_BN = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
_ENCODER = re.compile(r"((?:base_model|resnet)/(?:.*/)?(conv2d|(?:sync_)?batch_normalization)(?:_(\d{1,9}))?)/(?:kernel|gamma)")
_HEAD = re.compile(
    r"((?:head_contrastive|projection_head)/(?:.*/)?nl_(\d)/(?:.*/)?(dense|(?:sync_)?batch_normalization)(?:_\d+)?)/(?:kernel|gamma)"
)
_CLASSIFIER = re.compile(r"(head_supervised/(?:.*/)?dense(?:_\d+)?)/kernel")


def held(path: Path, wanted: Wanted) -> Held:
    bundle = find(path)
    if bundle is None:
        raise WeightsError(f"{shown(path)} is no checkpoint of TensorFlow: no {shown(path.name)}.index is there")
    _check_step(bundle, path, wanted.weights.train_step)
    which = "ema_model/" if wanted.weights.network == "momentum" else ""
    averaged = any(name.startswith("ema_model/") for name in bundle.shapes)
    known = [name.removeprefix(which) for name in bundle.shapes if name.startswith(which)]
    convs, norms = _in_order(known, "conv2d"), _in_order(known, "batch_normalization")
    order = list(convolutions(wanted.network))
    names = {f"{ours}.weight": f"{theirs}/kernel" for (ours, _), theirs in zip(order, convs, strict=False)}
    for ours, theirs in zip((norm for _, norm in order if norm), norms, strict=False):
        names |= _norm(ours, theirs)
    layers = [match.groups() for match in map(_HEAD.fullmatch, known) if match]
    for theirs, number, part in layers:
        layer = f"head.layers.{number}"
        names |= {f"{layer}.dense.weight": f"{theirs}/kernel"} if part == "dense" else _norm(f"{layer}.norm", theirs)
    names = {ours: which + theirs for ours, theirs in names.items()}
    kernels = [turned(bundle.shapes[f"{which}{name}/kernel"], AXES) for name in convs]
    classes = None
    for match in filter(None, map(_CLASSIFIER.fullmatch, bundle.shapes)):
        names |= {"classifier.weight": f"{match[1]}/kernel", "classifier.bias": f"{match[1]}/bias"}
        classes = (*bundle.shapes[match[0]], 0)[-2]
    return Held(
        tensors=bundle,
        kernels=[shape for shape in kernels if len(shape) == len(AXES[4])],
        names=names,
        layers=len({number for _, number, part in layers if part == "dense"}),
        classes=classes,
        axes=AXES,
        about=_AVERAGES.format("in") if which else _AVERAGES.format("outside of") if averaged else "",
    )


def _check_step(bundle: Bundle, path: Path, declared: int | None) -> None:
    """A checkpoint says at which train step it was written; a saved model does not."""
    if declared is None or bundle.shapes.get(_STEP) != ():
        return
    if (found := int(bundle.read(_STEP))) != declared:
        raise WeightsError(f"{shown(path)} is of train step {found:,}, and {declared:,} is wanted (train_step)")


def _in_order(names: Iterable[str], layer: str) -> list[str]:
    """The encoder's layers of that class."""
    found = [match for match in map(_ENCODER.fullmatch, names) if match and match[2].endswith(layer)]
    return [match[1] for match in sorted(found, key=lambda match: int(match[3] or 0))]


def _norm(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}.{leaf}": f"{theirs}/{name}" for leaf, name in _BN.items()}
