"""What a Step costs, before anything runs: parameters, FLOPs, seconds on one machine, memory, disk.

seconds = train FLOPs / the machine's rate + traffic of the activations / its bandwidth + train steps x its overhead,
in the precision of the Step. The constants are those of runners/machines/*.toml; finished Steps correct it (see `calibrated`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simclr_spec.language.machine import Machine
from simclr_spec.plan.step import Plan, Step
from simclr_spec.stages import network


@dataclass(frozen=True)
class Cost:
    """Of one Step, evaluation included."""

    parameters: int
    """trained ones"""
    train_steps: int
    flops: int
    seconds: float
    """of the whole Step on one machine"""
    memory: int
    """bytes for a whole batch at once"""
    machines: int
    """that hold a whole batch, so that BN sees all of it"""
    disk: int
    """bytes of the weights that stay"""


@dataclass(frozen=True)
class _Work:
    """Per training image: forward passes, backward passes, activations moved (with and without gradients) and kept."""

    forward: int
    backward: int
    outputs_trained: int
    outputs_passed: int
    trained: int
    stored: int


def images_per_epoch(kind: str, params: Mapping[str, Any]) -> int:
    """Images that one epoch passes over."""
    data = params["dataset"]
    if kind == "pretrain" or (kind == "distill" and params["images"] == "all"):
        return int(data["train_images"])
    labels = params["labels"]
    if labels["per_class"] is not None:
        return int(labels["per_class"] * data["classes"])
    return int(labels["fraction"] * data["train_images"] + 1e-6)


def train_steps(kind: str, params: Mapping[str, Any]) -> int:
    """Of the whole training: floor(images x epochs / batch) + 1, the official rule; or what `train_steps` says."""
    if params["train_steps"] is not None:
        return int(params["train_steps"])
    images = images_per_epoch(kind, params)
    return int(images * params["epochs"] / batch(kind, params)) + 1


def batch(kind: str, params: Mapping[str, Any]) -> int:
    """Images of one train step."""
    if params["batch_at_most_examples"]:
        return min(int(params["batch"]), images_per_epoch(kind, params))
    return int(params["batch"])


def cost(kind: str, params: Mapping[str, Any], teacher: Mapping[str, Any] | None, machine: Machine) -> Cost:
    """Of a Step with these parameters, in its precision; `teacher` are those of a distillation's parent, else None."""
    data, rates = params["dataset"], machine.rates[params["precision"]]
    work = _work(kind, params, teacher)
    steps, size = train_steps(kind, params), batch(kind, params)
    tests = (params["test_images"] or data["test_images"] or 0) if data["classes"] else 0
    encoder = network.encoder(params["encoder"], data["image_size"])
    flops = steps * size * (work.forward + work.backward) + tests * encoder.forward
    # A pass without gradients moves about a third of what training moves.
    moved = steps * size * (work.outputs_trained + work.outputs_passed / 3) + tests * encoder.outputs / 3
    traffic = moved * rates.bytes_per_output * (machine.sk_traffic if params["encoder"]["sk"] else 1.0)
    seconds = flops / (rates.tflops * 1e12) + traffic / (machine.terabytes_per_second * 1e12)
    seconds += steps * machine.step_milliseconds / 1e3
    per_pass = min(size, params["micro_batch"] or size)
    memory = 16 * work.stored + round(per_pass * work.outputs_trained * rates.saved_bytes_per_output)
    machines = 2 ** max(0, math.ceil(math.log2(memory / machine.room)))
    return Cost(work.trained, steps, flops, seconds, memory, machines, 4 * work.stored)


def _work(kind: str, params: Mapping[str, Any], teacher: Mapping[str, Any] | None) -> _Work:
    data = params["dataset"]
    encoder = network.encoder(params["encoder"], data["image_size"])
    last = network.classifier(encoder.features, data["classes"] or 0)
    if kind == "pretrain":
        head = network.head(encoder.features, params["head"])
        last = network.classifier(
            network.head(encoder.features, params["head"], params["linear_layer"]).features, data["classes"] or 0
        )
        keys = 2 * (encoder.forward + head.forward) if params["memory"]["enabled"] else 0
        trained = encoder.trainable + head.trainable + (last.trainable if params["linear_head"] else 0)
        forward = 2 * (encoder.forward + head.forward) + keys
        passed = 2 * encoder.outputs if keys else 0
        backward = 2 * (encoder.backward + head.backward)
        return _Work(forward, backward, 2 * encoder.outputs, passed, trained, encoder.total + head.total)
    if kind == "finetune":
        kept = network.head(encoder.features, params["head"], params["from_layer"])
        last = network.classifier(kept.features, data["classes"])
        forward, backward = (sum(getattr(part, name) for part in (encoder, kept, last)) for name in ("forward", "backward"))
        trained, stored = (sum(getattr(part, name) for part in (encoder, kept, last)) for name in ("trainable", "total"))
        return _Work(forward, backward, encoder.outputs, 0, trained, stored)
    if kind == "linear_eval":
        forward, backward = encoder.forward + last.forward, last.forward
        return _Work(forward, backward, 0, encoder.outputs, last.trainable, last.trainable)
    forward, backward = encoder.forward + last.forward, encoder.backward + last.backward
    passed = 0
    if teacher is not None:
        guide = network.encoder(teacher["encoder"], data["image_size"])
        forward, passed = forward + guide.forward, guide.outputs
    return _Work(forward, backward, encoder.outputs, passed, encoder.trainable + last.trainable, encoder.total + last.total)


def costs(plan: Plan, machine: Machine, precision: str | None = None) -> dict[str, Cost]:
    """Fingerprint -> cost of every Step; in another `precision` than its own, if one is given."""
    told = {} if precision is None else {"precision": precision}
    known: dict[tuple[Any, ...], Cost] = {}
    found = {}
    for step in plan.steps:
        teacher = plan.by_fingerprint.get(step.needs.get("teacher", ""))
        key = (*_but_seeds(step), *(_but_seeds(teacher) if teacher else ()))
        if key not in known:
            known[key] = cost(step.kind, {**step.params, **told}, teacher.params if teacher else None, machine)
        found[step.fingerprint] = known[key]
    return found


def _but_seeds(step: Step) -> tuple[Any, ...]:
    """Equal for Steps that differ in their seeds only."""
    return (id(step.shared), *((name, setting.value) for name, setting in step.own.items() if not name.endswith("seed")))


def calibrated(plan: Plan, costs: Mapping[str, Cost], ratios: Mapping[tuple[str, str], Sequence[float]]) -> dict[str, float]:
    """Seconds of every Step, corrected by the median over finished Steps of its kind and precision.

    `ratios` are measured / estimated."""
    factor = {like: sorted(found)[len(found) // 2] for like, found in ratios.items() if found}
    return {step.fingerprint: costs[step.fingerprint].seconds * factor.get(likeness(step), 1.0) for step in plan.steps}


def likeness(step: Step) -> tuple[str, str]:
    """Kind and precision: what a finished Step says something about."""
    return step.kind, step.params["precision"]
