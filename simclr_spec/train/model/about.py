"""What travels with a network's weights: how it is built, what it tells apart, how it sees images, and whose it is.

It stands in the metadata of the safetensors file, under one key, as JSON.
"""

# No `from __future__ import annotations`: schema and values are made from the annotations.
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from simclr_spec.core.errors import WeightsError
from simclr_spec.core.fields import build, described, schema
from simclr_spec.core.words import shown
from simclr_spec.stages.common import SIDE, EncoderConfig, EvaluationConfig, HeadConfig
from simclr_spec.stages.kinds import KINDS
from simclr_spec.store.layout import RunFolder
from simclr_spec.train.checkpoint import read_metadata

KEY = "simclr_spec"
FORMAT: Literal[1] = 1


@dataclass(frozen=True, kw_only=True)
class About:
    """What there is to know of a network besides its tensors. Kind, fingerprint and label can stand in a path."""

    format: Literal[1] = FORMAT
    kind: str = described("of the Step that it is of", pattern=r"^[a-z0-9_]{1,40}\Z")
    fingerprint: str = described("of this Step", pattern=r"^[0-9a-f]{64}\Z")
    label: str = described("of this Step", pattern=r"^(?!\.)[A-Za-z0-9._-]{1,120}\Z")
    encoder: EncoderConfig
    head: HeadConfig | None = None
    """as it was in pretraining, however much of it is kept"""
    from_layer: int | None = described(
        "layer of the head on which a classifier sits; none = its input", default=None, minimum=0
    )
    dataset: str
    """its name"""
    image_size: int = described("side of its images, in pixels", SIDE)
    preprocessing: EvaluationConfig | None = None
    """None where the Step sees no images"""
    classes: tuple[str, ...] = ()
    """names, in the order of the logits; empty without a classifier, or where nobody knows them"""
    origin: tuple[str, ...] = ()
    """of weights that were not trained here, its parents' included"""
    licence: tuple[str, ...] = ()
    """of these"""

    @classmethod
    def of_step(cls, step: Mapping[str, Any], **more: Any) -> "About":
        """Of a step.json, which has no names of classes, and no origin."""
        config = KINDS[step["kind"]].build(step["params"])
        augment = getattr(config, "augment", None)
        return cls(
            kind=step["kind"],
            fingerprint=step["fingerprint"],
            label=step["label"],
            encoder=config.encoder,
            head=getattr(config, "head", None),
            from_layer=getattr(config, "from_layer", None),
            dataset=config.dataset.name,
            image_size=config.dataset.image_size,
            preprocessing=augment and augment.evaluation,
            **more,
        )

    def looking_at(self, network: "About") -> "About":
        """The network as this Step, which has none of its own, sees images and names classes."""
        return replace(
            self,
            encoder=network.encoder,
            head=network.head,
            from_layer=network.from_layer,
            preprocessing=self.preprocessing or network.preprocessing,
            classes=self.classes or network.classes,
        )

    def metadata(self) -> dict[str, str]:
        """Of a safetensors file."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        return {KEY: json.dumps(values, separators=(",", ":"), allow_nan=False)}


def read_about(path: Path) -> About | None:
    """Of a safetensors file; None where it tells nothing. Raises WeightsError."""
    text = read_metadata(path).get(KEY)
    return None if text is None else _parsed(text, path)


def _parsed(text: str, path: Path) -> About:
    """The file may be anybody's."""
    from jsonschema import Draft4Validator

    try:
        value = json.loads(text, parse_constant=_no_number)
        if isinstance(value, dict) and isinstance(value.get("format"), int) and value["format"] > FORMAT:
            raise WeightsError(f"{shown(path)} was written by a later version of simclr-spec (format {value['format']})")
        if Draft4Validator(_schema()).is_valid(value):
            found: About = build(About, value)
            return found
    except (ValueError, RecursionError):
        pass
    raise WeightsError(f"{shown(path)} does not say which network its tensors are of: its metadata {KEY!r} is damaged")


def _no_number(name: str) -> float:
    raise ValueError(name)


@cache
def _schema() -> dict[str, Any]:
    return schema(About)


def inherited(parents: Mapping[str, RunFolder]) -> dict[str, tuple[str, ...]]:
    """`origin` and `licence` of what a Step starts from, each once; whether it can, others find out."""
    there = [parent.weights for parent in parents.values() if parent.done and parent.weights.exists()]
    found = [about for path in there if (about := read_about(path))]
    return {
        name: tuple(dict.fromkeys(entry for about in found for entry in getattr(about, name))) for name in ("origin", "licence")
    }
