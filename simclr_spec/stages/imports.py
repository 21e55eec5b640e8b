"""The kind of stage `import`."""

# No `from __future__ import annotations`: the schemas are made from the annotations, and real ones need no evaluation.
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from simclr_spec.core.fields import described
from simclr_spec.data.splits import Splits
from simclr_spec.stages import network
from simclr_spec.stages.common import HeadConfig, StageConfig
from simclr_spec.stages.kind import ENCODER, HEAD, Kind, Work
from simclr_spec.stages.training import encoder_of

NOT_STATED = "not stated"
"""An origin or a licence of which nobody has said anything."""
TRAINING = ("bn_decay", "bn_variance", "init")
"""Of an encoder, what concerns its training alone."""


@dataclass(frozen=True, kw_only=True)
class WeightsConfig:
    """A file of weights that were trained elsewhere, and what it holds; facts of a weights file, from specs/weights/."""

    file: str = described("its published name, below a weights root", minLength=1)
    sha256: str = described("SHA-256 of its bytes; empty = not known, the first read records it", pattern="^([0-9a-f]{64})?$")
    train_step: int | None = described("train step at which it was saved", minimum=0)
    layout: Literal["tensorflow", "separius", "torchvision", "simclr-spec"] = described(
        "how its tensors are named: the official code's checkpoints and saved models; Separius' conversions of these, which "
        "lightly-ai's copies are, too; torchvision's and timm's ResNets; what `simclr-spec export` writes"
    )
    network: Literal["online", "momentum"] = described("which of the two networks of a pretraining with memory is read")
    head_layers: int = described("layers of the projection head that it holds, from the head's input", minimum=0, maximum=8)
    classes: int | None = described("classes of its classifier; none = it has none", minimum=2)
    from_layer: int = described("layer of the head on which its classifier sits; 0 = the head's input", minimum=0)
    origin: str = described("where it is published")
    licence: str = described("of the file")


@dataclass(frozen=True, kw_only=True)
class ImportConfig(StageConfig):
    """A network whose weights were trained elsewhere: the stages after it start from it."""

    head: HeadConfig
    weights: WeightsConfig
    revision: Literal[1] = described("revision of this stage's arithmetic")

    @property
    def from_layer(self) -> int:
        return self.weights.from_layer


@dataclass(frozen=True, kw_only=True)
class Import(Kind):
    """Reads a file, whose tensors become those of a Step."""

    def identity(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """By the file's SHA-256 where it is declared, whatever it is called; else by its origin, name and train step.

        It sees no images, and is not trained."""
        weights, encoder = (dict(params[name]) for name in ("weights", "encoder"))
        for key in ("licence", *(("origin", "file", "train_step") if weights["sha256"] else ())):
            del weights[key]
        for key in TRAINING:
            del encoder[key]
        return {"head": params["head"], "revision": params["revision"], "weights": weights, "encoder": encoder}

    def quantities(self, config: ImportConfig) -> Mapping[str, float]:
        """The encoder's parameters in millions, as Table 1 counts."""
        return {"parameters": encoder_of(config).total / 1e6}

    def work(self, config: ImportConfig, _: Mapping[str, Any]) -> Work:
        """Nothing is computed."""
        encoder, held = encoder_of(config), config.weights
        head = network.head(encoder.features, vars(config.head), held.head_layers)
        kept = network.head(encoder.features, vars(config.head), held.from_layer)
        classifier = network.classifier(kept.features, held.classes).total if held.classes else 0
        numbers = encoder.total + head.total + classifier
        return Work(flops=0, state=4 * numbers, weights=4 * numbers)


IMPORT = Import(
    name="import",
    parameters=ImportConfig,
    executor="simclr_spec.train.stages.imports:read",
    metrics=(),
    axes=(*ENCODER, *HEAD),
    reads=Splits.NONE,
    needs_classes=False,
    for_others=True,
    from_file=True,
)
