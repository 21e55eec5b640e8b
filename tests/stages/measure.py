"""Kinds of stage of the tests' own, and no training: no epochs, no optimiser, no seed.

`measure` is a norm of its parent's weights. `released` stands for weights that were trained elsewhere, and is only planned;
it stands before a fine-tuning, where else a pretraining does.

    python -m tests.stages.measure COMMAND...

is `simclr-spec COMMAND...` with these kinds among the others.
"""

# No `from __future__ import annotations`: the schemas are made from the annotations.
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from simclr_spec.core.fields import described
from simclr_spec.stages.common import HeadConfig, StageConfig
from simclr_spec.stages.kind import ENCODER, HEAD, Kind, Parent, Work
from simclr_spec.stages.kinds import KINDS, register
from simclr_spec.stages.training import encoder_of


@dataclass(frozen=True, kw_only=True)
class MeasureConfig(StageConfig):
    """The norm of the weights of a network's convolutions."""

    order: int = described("order of the norm", minimum=1, maximum=2)
    revision: Literal[1] = described("revision of this stage's arithmetic")


@dataclass(frozen=True, kw_only=True)
class Measure(Kind):
    def work(self, config: MeasureConfig, parents: Mapping[str, Any]) -> Work:
        """A multiplication and an addition for each number of the encoder that its parent trained."""
        assert parents["from"].encoder == config.encoder
        numbers = encoder_of(config).trainable
        return Work(flops=2 * numbers, state=4 * numbers)


MEASURE = Measure(
    name="measure",
    parameters=MeasureConfig,
    executor="tests.stages.measuring:measure",
    metrics=("weight_norm", "numbers"),
    parent=Parent(role="from", kinds=("pretrain", "finetune", "released")),
    needs_classes=False,
    priced_with_parents=True,
)


@dataclass(frozen=True, kw_only=True)
class ReleasedConfig(StageConfig):
    """Weights that were trained elsewhere."""

    head: HeadConfig
    revision: Literal[1] = described("revision of this stage's arithmetic")


@dataclass(frozen=True, kw_only=True)
class Released(Kind):
    def work(self, config: ReleasedConfig, _: Mapping[str, Any]) -> Work:
        """Nothing is computed."""
        return Work(flops=0, weights=4 * encoder_of(config).total)


RELEASED = Released(
    name="released",
    parameters=ReleasedConfig,
    executor="tests.stages.measuring:nobody",
    metrics=(),
    axes=(*ENCODER, *HEAD),
    needs_classes=False,
    for_others=True,
)

if __name__ == "__main__":
    register(MEASURE)
    register(RELEASED)
    KINDS["finetune"] = replace(KINDS["finetune"], parent=Parent(role="from", kinds=("pretrain", "released")))
    from simclr_spec.__main__ import run

    run()
