"""A network with a classifier, tested as it is."""

from __future__ import annotations

import time

from simclr_spec.core.errors import WeightsError
from simclr_spec.core.words import number
from simclr_spec.stages.evaluate import EvaluateConfig
from simclr_spec.store import outcomes
from simclr_spec.train import evaluate
from simclr_spec.train.data.datasets import evaluation_samples
from simclr_spec.train.loop import watched
from simclr_spec.train.loop.job import Job, Outcome
from simclr_spec.train.model.network import Network


def test(job: Job) -> Outcome:
    """Raises DataError, WeightsError. It leaves no weights: they are its parent's."""
    config: EvaluateConfig = job.config()
    dataset, parent = config.dataset, job.parents()["from"]
    network = Network.of_folder(parent).eval().to(job.device)
    if network.class_count != dataset.classes:
        known = "no classes" if network.class_count is None else f"{network.class_count:,} classes"
        raise WeightsError(f"the network in {parent.path} knows {known}, and '{dataset.name}' has {dataset.classes}")
    images = watched.load(job, dataset, config.augment)
    samples, began = evaluation_samples(images.test_labels, config.test_images), time.monotonic()
    logits = evaluate.shared_outputs(network, images.test, samples, config.augment, dataset.image_size)
    tests, seconds = {"": evaluate.of_logits(logits, images.labels_of(samples))}, time.monotonic() - began
    metrics = outcomes.metrics(tests)
    told = ", ".join(f"{name} {number(value, 4)}" for name, value in metrics.items())
    job.record.log(f"result: {told}, of {len(samples):,} images")
    watched.still_there(job, dataset, images)
    return Outcome(
        metrics=metrics,
        weights={},
        seconds=seconds,
        counts={
            "images_per_second": round(len(samples) / seconds, 2),
            "test_list": watched.tested(job, dataset, images, samples),
        },
        tests=tests,
        classes=images.classes,
    )
