"""A kind of stage of the tests' own, and no training: a norm of its parent's weights. No epochs, no optimiser, no seed.

    python -m tests.stages.measure COMMAND...

is `simclr-spec COMMAND...` with this kind among the others.
"""

# No `from __future__ import annotations`: the schemas are made from the annotations.
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from simclr_spec.core.fields import described
from simclr_spec.stages.common import StageConfig
from simclr_spec.stages.kind import Kind, Parent, Work
from simclr_spec.stages.kinds import register
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
    parent=Parent(role="from", kinds=("pretrain", "finetune")),
    needs_classes=False,
    priced_with_parents=True,
)

if __name__ == "__main__":
    register(MEASURE)
    from simclr_spec.__main__ import run

    run()
