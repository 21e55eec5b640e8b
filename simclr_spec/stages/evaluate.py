"""The kind of stage `evaluate`."""

# No `from __future__ import annotations`: the schemas are made from the annotations, and real ones need no evaluation.
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from simclr_spec.core.fields import described
from simclr_spec.data.splits import Splits
from simclr_spec.stages.common import AugmentConfig, StageConfig
from simclr_spec.stages.kind import Kind, Parent, Work
from simclr_spec.stages.training import encoder_of


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(StageConfig):
    """A test of a network with a classifier, as it is."""

    augment: AugmentConfig
    test_images: int | None = described("evaluate on this many class-balanced test images; none = all", minimum=1)
    revision: Literal[1] = described("revision of this stage's arithmetic")


@dataclass(frozen=True, kw_only=True)
class Evaluate(Kind):
    """Tests what was learnt elsewhere."""

    def work(self, config: EvaluateConfig, _: Mapping[str, Any]) -> Work:
        """The test images pass the encoder without gradients."""
        tests, encoder = config.test_images or config.dataset.test_images or 0, encoder_of(config)
        return Work(
            flops=tests * encoder.forward, moved=tests * encoder.outputs / 3, state=4 * encoder.total, sk=config.encoder.sk
        )


EVALUATE = Evaluate(
    name="evaluate",
    parameters=EvaluateConfig,
    executor="simclr_spec.train.stages.evaluate:test",
    metrics=("top1", "top5"),
    reads=Splits.TEST,
    parent=Parent(role="from", kinds=("import", "finetune", "supervised", "distill"), classifies=True),
)
