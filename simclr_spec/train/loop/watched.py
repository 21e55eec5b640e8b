"""The images of a Step, which must be when it ends what they were when it began."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from simclr_spec.core.errors import DataError
from simclr_spec.stages.common import AugmentConfig, DatasetConfig
from simclr_spec.stages.kinds import KINDS
from simclr_spec.train import distributed
from simclr_spec.train.checkpoint import delete_checkpoints
from simclr_spec.train.data import datasets
from simclr_spec.train.loop.job import Job


def load(job: Job, dataset: DatasetConfig, augment: AugmentConfig) -> datasets.ImageSet:
    """On the job's device; the record says which they are, where nothing declares it. Raises DataError."""
    splits = KINDS[job.kind].splits(vars(dataset))
    images = datasets.load(dataset, augment.orientation, job.store, splits)
    if distributed.rank() == 0 and (seen := datasets.seen(dataset, images, job.store, job.record.log)):
        job.record.set(data_digest=seen)
    return images.to(job.device)


def tested(job: Job, dataset: DatasetConfig, images: datasets.ImageSet, samples: Tensor) -> dict[str, Any]:
    """Which images were tested, (n,) of them, told on rank 0; results that agree in it can be compared in pairs."""
    if distributed.rank() != 0:
        return {}
    cache = datasets.cache_of(dataset, images, job.store)
    return {"images": len(samples), "digest": datasets.test_list(images, samples, cache)}


def still_there(job: Job, dataset: DatasetConfig, images: datasets.ImageSet) -> None:
    """A result says which images it is of; of such as changed meanwhile, nobody could say what it and its checkpoints saw.

    Raises DataError, on rank 0."""
    if distributed.rank() != 0:
        return
    if not datasets.unchanged(dataset, images, job.store, job.record.values.get("data_digest")):
        delete_checkpoints(job.folder)
        raise DataError(f"the images of '{dataset.name}' changed while they were read: leave them alone, and run again")
