"""Kinds of stage that train a network, all by one loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from simclr_spec.stages import network
from simclr_spec.stages.common import TrainingConfig
from simclr_spec.stages.kind import Again, Kind, Work
from simclr_spec.stages.network import Network

QUANTITIES = ("parameters", "head_parameters", "train_steps", "images_seen")
"""What a plan knows of a training, and a report may show like a metric."""
LABELLED_METRICS = ("loss", "train_top1", "top1", "top5")


@dataclass(frozen=True, kw_only=True)
class PerImage:
    """FLOPs, passes and outputs of convolutions for one training image, and what the network holds."""

    forward: int
    backward: int
    passes: int = 0
    """through the Step's encoder, with gradients"""
    outputs_passed: int = 0
    """of convolutions, without gradients"""
    trained: int
    """parameters"""
    stored: int
    """numbers in the weights that stay"""


@dataclass(frozen=True, kw_only=True)
class TrainingKind(Kind):
    """A kind of training: its parameters are a TrainingConfig, its Steps take epochs, batches and a seed."""

    executor: str = "simclr_spec.train.loop.fit:train"
    stage: str
    """`module:Class` of the network and its measures, a train.stage.Stage"""
    per_image: Callable[[Any, Mapping[str, Any]], PerImage]
    """parameters, the parents' by role -> what one image takes"""

    @property
    def trains(self) -> bool:
        return True

    def quantities(self, config: Any) -> Mapping[str, float]:
        """Parameters in millions: the encoder's as Table 1 counts, with moving statistics; and those of kept head layers."""
        encoder, schedule = encoder_of(config), config.schedule(config.examples)
        layer = getattr(config, self.layer_of_head) if self.layer_of_head else 0
        kept = network.head(encoder.features, vars(config.head), layer).trainable if layer else 0
        return dict(
            zip(
                QUANTITIES,
                (encoder.total / 1e6, kept / 1e6, schedule.train_steps, schedule.train_steps * schedule.batch),
                strict=True,
            )
        )

    def work(self, config: TrainingConfig, parents: Mapping[str, Any]) -> Work:
        """Of the training, and of the evaluation of its end."""
        image, schedule, data = self.per_image(config, parents), config.schedule(config.examples), config.dataset
        tests = (config.test_images or data.test_images or 0) if data.classes else 0
        encoder, seen = encoder_of(config), schedule.train_steps * schedule.batch
        passes, at_once = image.passes * seen, image.passes * schedule.micro_batch
        return Work(
            flops=seen * (image.forward + image.backward) + tests * encoder.forward,
            moved=passes * encoder.outputs + (seen * image.outputs_passed + tests * encoder.outputs) / 3,
            train_steps=schedule.train_steps,
            parameters=image.trained,
            state=16 * image.stored,
            saved=at_once * encoder.outputs,
            again=Again(flops=passes * encoder.forward, moved=passes * encoder.outputs / 3, saved=at_once * encoder.kept),
            weights=4 * image.stored,
            precision=config.precision,
            sk=config.encoder.sk,
        )


def encoder_of(config: Any, image_size: int | None = None) -> Network:
    """At the size of its own images, unless another is given."""
    return network.encoder(vars(config.encoder), image_size or config.dataset.image_size)


def classifier_of(config: Any, features: int) -> Network:
    """Of the classes of its images; of none where they have no labels."""
    return network.classifier(features, config.dataset.classes or 0)


def whole_network(*parts: Network) -> PerImage:
    """Parts that are trained one on top of the other, the encoder first."""
    return PerImage(
        forward=sum(part.forward for part in parts),
        backward=sum(part.backward for part in parts),
        passes=1,
        trained=sum(part.trainable for part in parts),
        stored=sum(part.total for part in parts),
    )
