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
_NORM = "(?:sync_)?batch_normalization"
_CONVS, _NORMS = (
    re.compile(rf"((?:base_model|resnet)/(?:.*/)?{layer}(?:_(\d{{1,9}}))?)/{leaf}")
    for layer, leaf in (("conv2d", "kernel"), (_NORM, "gamma"))
)
_DENSES, _HEAD_NORMS = (
    re.compile(rf"((?:head_contrastive|projection_head)/(?:.*/)?nl_(\d)/(?:.*/)?{layer}(?:_\d+)?)/{leaf}")
    for layer, leaf in (("dense", "kernel"), (_NORM, "gamma"))
)
_CLASSIFIERS = re.compile(r"(head_supervised/(?:.*/)?dense(?:_\d+)?)/()kernel")


def held(path: Path, wanted: Wanted) -> Held:
    bundle = find(path)
    if bundle is None:
        why = "it is a file of another kind" if path.is_file() else f"no {shown(path.name)}.index is there"
        raise WeightsError(f"{shown(path)} is no checkpoint of TensorFlow: {why}")
    _check_step(bundle, path, wanted.weights.train_step)
    which = "ema_model/" if wanted.weights.network == "momentum" else ""
    averaged = any(name.startswith("ema_model/") for name in bundle.shapes)
    known = [name.removeprefix(which) for name in bundle.shapes if name.startswith(which)]
    convs, norms, denses, head_norms = (_numbered(path, known, kind) for kind in (_CONVS, _NORMS, _DENSES, _HEAD_NORMS))
    order = list(convolutions(wanted.network))
    names = {f"{ours}.weight": f"{theirs}/kernel" for (ours, _), theirs in zip(order, convs.values(), strict=False)}
    for ours, theirs in zip((norm for _, norm in order if norm), norms.values(), strict=False):
        names |= _norm(ours, theirs)
    names |= {f"head.layers.{number}.dense.weight": f"{theirs}/kernel" for number, theirs in denses.items()}
    for number, theirs in head_norms.items():
        names |= _norm(f"head.layers.{number}.norm", theirs)
    names = {ours: which + theirs for ours, theirs in names.items()}
    kernels = [turned(bundle.shapes[f"{which}{name}/kernel"], AXES) for name in convs.values()]
    classes = None
    for theirs in _numbered(path, bundle.shapes, _CLASSIFIERS).values():
        names |= {"classifier.weight": f"{theirs}/kernel", "classifier.bias": f"{theirs}/bias"}
        classes = (None, *bundle.shapes[f"{theirs}/kernel"])[-1]
    return Held(
        tensors=bundle,
        kernels=[shape for shape in kernels if len(shape) == len(AXES[4])],
        names=names,
        layers=len(denses),
        classes=classes,
        axes=AXES,
        about=_AVERAGES.format("in") if which else _AVERAGES.format("outside of") if averaged else "",
    )


def _check_step(bundle: Bundle, path: Path, declared: int | None) -> None:
    """A checkpoint says at which train step it was written; a saved model does not."""
    if declared is None or bundle.shapes.get(_STEP) != ():
        return
    found = bundle.read(_STEP)
    if found.dtype.kind not in "iu":
        raise WeightsError(f"{_STEP} in {shown(path)} is made of {found.dtype}, and no train step is")
    if found != declared:
        raise WeightsError(f"{shown(path)} is of train step {int(found):,}, and {declared:,} is wanted (train_step)")


def _numbered(path: Path, names: Iterable[str], kind: re.Pattern[str]) -> dict[int, str]:
    """Layers of a kind by their numbers, in this order."""
    found: dict[int, str] = {}
    for layer, number in (match.groups() for match in map(kind.fullmatch, names) if match):
        if found.setdefault(int(number or 0), layer) != layer:
            other = shown(found[int(number or 0)])
            raise WeightsError(f"{shown(path)} has two layers where a network has one: {other} and {shown(layer)}")
    return dict(sorted(found.items()))


def _norm(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}.{leaf}": f"{theirs}/{name}" for leaf, name in _BN.items()}
