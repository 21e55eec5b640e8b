"""Complete Steps for tests, small enough to train in seconds: the digits at tiny width."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from simclr_spec.store.layout import RunFolder, Store
from simclr_spec.train.checkpoint import write_tensors

TRAINING: dict[str, Any] = {
    "seed": 0,
    "dataset": {
        "name": "digits",
        "loader": "digits",
        "digest": "",
        "classes": 10,
        "train_images": 1437,
        "test_images": 360,
        "image_size": 8,
    },
    "encoder": {
        "depth": 18,
        "width": 1,
        "sk": False,
        "base_width": 2,
        "stem": "cifar",
        "sk_ratio": 0.0625,
        "sk_min_width": 32,
        "bn_decay": 0.9,
        "bn_epsilon": 1e-5,
        "bn_variance": "biased",
        "max_pool": "tensorflow",
        "stride": "3x3",
        "sk_dilation": 1,
        "shortcut_pool": "all",
        "init": "tensorflow",
    },
    "augment": {
        "orientation": "stored",
        "crop": "tensorflow",
        "crop_area_min": 0.4,
        "crop_area_max": 1.0,
        "crop_aspect_min": 0.75,
        "crop_aspect_max": 4 / 3,
        "crop_min_covered": 0.1,
        "resize": "tensorflow",
        "flip": 0.0,
        "colour": "simclrv2",
        "colour_probability": 0.0,
        "colour_strength": 1.0,
        "greyscale": 0.0,
        "blur": 0.0,
        "blur_sigma_min": 0.1,
        "blur_sigma_max": 2.0,
        "blur_sigma": "per_view",
        "blur_kernel": 0.1,
        "blur_border": "zero",
        "autoaugment": False,
        "test_crop": 1.0,
    },
    "epochs": 1.0,
    "train_steps": 12,
    "batch": 32,
    "batch_at_most_examples": True,
    "micro_batch": None,
    "optimizer": "lars",
    "nesterov": False,
    "learning_rate": 0.1,
    "learning_rate_scaling": "sqrt",
    "warmup": 0.05,
    "decay": "cosine",
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "trust_coefficient": 0.001,
    "lars_scope": "kernels",
    "decay_classifier": True,
    "precision": "fp32",
    "channels_last": False,
    "compile": False,
    "test_images": None,
    "revision": 1,
}
HEAD = {"layers": 3, "width": 1, "out_dim": 16, "last_beta": False}
LABELS = {"fraction": 0.1, "per_class": None, "sampler": "balanced", "list_digest": "", "seed": 0}
SGD = {"optimizer": "sgd", "nesterov": True, "learning_rate_scaling": "linear"}
KINDS: dict[str, dict[str, Any]] = {
    "pretrain": {
        "head": HEAD,
        "memory": {
            "enabled": False,
            "keys": 256,
            "decay": 0.99,
            "bn_statistics": "forward",
            "enqueue": "both",
            "in_batch": "momentum",
            "queries": "both",
            "handed_on": "momentum",
        },
        "loss": "nt_xent",
        "loss_mean": "images",
        "temperature": 0.2,
        "linear_head": False,
        "linear_layer": 0,
        "knn_neighbours": 20,
        "knn_temperature": 0.1,
        "knn_every": 0,
    },
    "finetune": {"head": HEAD, "labels": LABELS, "from_layer": 1},
    "linear_eval": {"head": HEAD, "labels": LABELS, "from_layer": 0, "encoder_bn": "eval", **SGD},
    "supervised": {"labels": LABELS, "label_smoothing": 0.0, **SGD},
    "distill": {
        "temperature": 1.0,
        "alpha": 1.0,
        "labels": LABELS,
        "images": "all",
        "temperature_squared": False,
        "student_init": "scratch",
    },
}

STRONG: dict[str, Any] = {
    "augment__colour_probability": 0.8,
    "augment__greyscale": 0.2,
    "augment__blur": 0.5,
    "augment__blur_kernel": 0.4,  # three taps at 8 pixels; a tenth of the side would be none
    "augment__flip": 0.5,
}


def disturb(module: nn.Module) -> None:
    """BN away from 1 and 0, so that every branch of the network takes part."""
    for name, tensor in module.state_dict().items():
        if "norm" in name:
            tensor.copy_(0.5 + torch.rand_like(tensor))


def step(kind: str, **overrides: Any) -> dict[str, Any]:
    """Complete parameters of one Step; `encoder__base_width=4` sets a nested one."""
    values = deepcopy(TRAINING | KINDS[kind])
    for name, value in overrides.items():
        *path, last = name.split("__")
        place = values
        for part in path:
            place = place[part]
        assert last in place, name
        place[last] = value
    return values


def prepare(store: Store, kind: str, needs: dict[str, RunFolder] | None = None, **overrides: Any) -> RunFolder:
    """The Step's run folder with its step.json, as dispatch writes it."""
    values = step(kind, **overrides)
    parents = {role: json.loads(folder.step.read_text())["fingerprint"] for role, folder in (needs or {}).items()}
    fingerprint = hashlib.sha256(json.dumps([kind, values, parents], sort_keys=True).encode()).hexdigest()
    written = {
        "fingerprint": fingerprint,
        "kind": kind,
        "label": kind,
        "params": values,
        "needs": {
            role: {"fingerprint": parents[role], "folder": str(folder.path.relative_to(store.path))}
            for role, folder in (needs or {}).items()
        },
        "coordinates": {"kind": kind},
    }
    return store.prepare(f"{kind}/{kind}-{fingerprint[:8]}", written)


def finished(
    store: Store, kind: str, tensors: Mapping[str, Tensor], needs: dict[str, RunFolder] | None = None, **overrides: Any
) -> RunFolder:
    """A done Step with the given weights."""
    folder = prepare(store, kind, needs, **overrides)
    attempt = folder.new_attempt()
    write_tensors(attempt.weights, tensors)
    folder.commit(attempt, {"metrics": {}})
    return folder
