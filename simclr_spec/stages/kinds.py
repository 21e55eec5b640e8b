"""The registry of kinds of stage: the only place that lists them."""

from simclr_spec.stages.distill import DISTILL
from simclr_spec.stages.evaluate import EVALUATE
from simclr_spec.stages.finetune import FINETUNE
from simclr_spec.stages.imports import IMPORT
from simclr_spec.stages.kind import Kind
from simclr_spec.stages.linear_eval import LINEAR_EVAL
from simclr_spec.stages.pretrain import PRETRAIN
from simclr_spec.stages.supervised import SUPERVISED

KINDS: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Add a kind. The language is made of what stands here when it is first imported: register before."""
    if kind.name in KINDS:
        raise ValueError(f"a kind of stage is named {kind.name!r} already")
    KINDS[kind.name] = kind


for _kind in (PRETRAIN, FINETUNE, LINEAR_EVAL, SUPERVISED, DISTILL, IMPORT, EVALUATE):
    register(_kind)

FROM_FILE = next(kind for kind in KINDS.values() if kind.from_file)
"""The kind that takes the place of a training whose weights were published."""
