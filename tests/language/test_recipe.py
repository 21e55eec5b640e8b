"""The recipe against a second transcription: values and statuses, typed from paper, official code and its authors' answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simclr_spec.language.overlay import read_overlay
from simclr_spec.plan import compile

# One line each: field, value, status. Where a stage has no line of its own, that of all stages holds.
TRANSCRIBED = {
    "common": """
        train_steps none derived | micro_batch none paper | test_images none code | batch_at_most_examples False code
        optimizer lars paper | nesterov False code | momentum 0.9 paper | trust_coefficient 0.001 code
        lars_scope kernels code | decay_classifier True code | learning_rate_scaling sqrt paper | decay cosine code
        precision fp32 assumed | channels_last False derived | compile False derived
        encoder.base_width 64 code | encoder.stem imagenet code | encoder.sk_ratio 0.0625 author | encoder.sk_min_width 32 code
        encoder.bn_decay 0.9 code | encoder.bn_epsilon 1e-05 code | encoder.bn_variance biased code
        encoder.max_pool tensorflow code | encoder.stride 3x3 code | encoder.sk_dilation 1 code
        encoder.shortcut_pool all code | encoder.init tensorflow code
        augment.orientation stored code
        augment.crop tensorflow code | augment.crop_area_min 0.08 code | augment.crop_area_max 1.0 code
        augment.crop_aspect_min 0.75 code | augment.crop_aspect_max 1.3333333333333333 code | augment.crop_min_covered 0.1 code
        augment.resize tensorflow code | augment.flip 0.5 code | augment.colour simclrv2 code
        augment.colour_strength 1.0 code | augment.blur_sigma_min 0.1 code | augment.blur_sigma_max 2.0 code
        augment.blur_sigma per_view code | augment.blur_kernel 0.1 code | augment.blur_border zero code
        augment.colour_probability 0.0 paper | augment.greyscale 0.0 paper | augment.blur 0.0 paper
        augment.autoaugment False paper | augment.test_crop 0.875 code
        head.layers 3 paper | head.width 1 paper | head.out_dim 128 code | head.last_beta False code
        labels.sampler balanced author
    """,
    "pretrain": """
        epochs 800.0 paper | batch 4096 paper | learning_rate 0.1 paper | warmup 0.05 paper | weight_decay 0.0001 paper
        decay cosine paper | loss nt_xent paper | loss_mean images code | temperature 0.1 code | linear_head True code
        linear_layer 0 code
        augment.colour_probability 0.8 code | augment.greyscale 0.2 code | augment.blur 0.5 code
        augment.autoaugment False paper
        memory.enabled True paper | memory.keys 65536 assumed | memory.decay 0.999 paper | memory.bn_statistics forward assumed
        memory.enqueue both assumed | memory.in_batch momentum assumed | memory.queries both assumed
        memory.handed_on momentum assumed | knn_neighbours 200 assumed | knn_temperature 0.1 assumed | knn_every 0 assumed
    """,
    "finetune": """
        epochs 60.0 assumed | batch 1024 paper | learning_rate 0.002 paper | warmup 0.0 paper | weight_decay 0.0 paper
        from_layer 1 assumed
    """,
    "linear_eval": """
        from_layer 0 paper
        epochs 90.0 assumed | batch 4096 assumed | optimizer sgd assumed | nesterov True code | momentum 0.9 code
        learning_rate 0.1 assumed | learning_rate_scaling linear assumed | warmup 0.0 assumed | weight_decay 1e-06 assumed
        encoder_bn eval assumed | micro_batch none derived | augment.colour_probability 0.0 assumed
        augment.greyscale 0.0 assumed | augment.blur 0.0 assumed | augment.autoaugment False assumed
    """,
    "supervised": """
        epochs 90.0 assumed | batch 4096 assumed | optimizer sgd assumed | nesterov True code | momentum 0.9 code
        learning_rate 0.1 assumed | learning_rate_scaling linear assumed | warmup 0.05 assumed | weight_decay 0.0001 assumed
        micro_batch none assumed | label_smoothing 0.0 assumed | augment.colour_probability 0.0 assumed
        augment.greyscale 0.0 assumed | augment.blur 0.0 assumed | augment.autoaugment False assumed
    """,
    "distill": """
        epochs 400.0 paper | batch 4096 paper | learning_rate 0.1 paper | warmup 0.05 paper | weight_decay 0.0001 paper
        decay cosine paper | micro_batch none assumed | temperature 1.0 paper | alpha 1.0 paper | images all paper
        temperature_squared False paper | student_init scratch assumed
    """,
}


def _typed(text: str) -> list[list[str]]:
    """Name, value, status."""
    return [entry.rsplit(" ", 2) for line in text.strip().splitlines() for entry in line.strip().split(" | ")]


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)


@pytest.mark.parametrize("kind", TRANSCRIBED)
def test_every_value_and_status_of_the_recipe(kind: str) -> None:
    settings = read_overlay("recipe", "simclrv2", None).settings[kind]
    assert {name: (_shown(setting.value), setting.status) for name, setting in settings.items()} == {
        name: (value, status) for name, value, status in _typed(TRANSCRIBED[kind])
    }


# What each amount of labels changes. A source covers what its text covers: §3.1's epochs and layer are those of 1 %, 10 % and
# all labels; Table 1's 90 epochs, the checkpoints' batch, #10 and #110 speak of supervised training on all labels alone;
# Figure 4 names AutoAugment and label smoothing for supervised models on 1 % and 10 %, without a value.
_SUPERVISED_WITH_FEW = """
    epochs 90.0 assumed | batch 4096 assumed | optimizer sgd assumed | learning_rate 0.1 assumed | momentum 0.9 code
    learning_rate_scaling linear assumed | weight_decay 0.0001 assumed | decay cosine code | warmup 0.05 assumed
    augment.colour_probability 0.0 assumed | augment.greyscale 0.0 assumed | augment.blur 0.0 assumed
"""
_WITH_LABELS = {
    ("finetune", 0.01): "epochs 60.0 paper | from_layer 1 paper | batch 1024 paper | learning_rate 0.005 paper",
    ("finetune", 0.1): "epochs 30.0 paper | from_layer 1 paper | batch 1024 paper | learning_rate 0.005 paper",
    ("finetune", 0.5): "epochs 60.0 assumed | from_layer 1 assumed | batch 1024 paper | learning_rate 0.005 paper",
    ("finetune", 1.0): "epochs 30.0 paper | from_layer 0 paper | batch 1024 paper | learning_rate 0.005 paper",
    ("supervised", 0.01): _SUPERVISED_WITH_FEW + "augment.autoaugment True paper | label_smoothing 0.1 assumed",
    ("supervised", 0.1): _SUPERVISED_WITH_FEW + "augment.autoaugment True paper | label_smoothing 0.1 assumed",
    ("supervised", 0.5): _SUPERVISED_WITH_FEW + "augment.autoaugment False assumed | label_smoothing 0.0 assumed",
    ("supervised", 1.0): """
        epochs 90.0 paper | batch 4096 derived | optimizer sgd author | learning_rate 0.1 author | momentum 0.9 author
        learning_rate_scaling linear author | weight_decay 0.0001 author | decay cosine author | warmup 0.05 assumed
        augment.colour_probability 0.0 author | augment.greyscale 0.0 author | augment.blur 0.0 author
        augment.autoaugment False author | label_smoothing 0.0 assumed
    """,
}


@pytest.mark.parametrize(("kind", "share"), _WITH_LABELS, ids=str)
def test_a_source_covers_the_amounts_of_labels_that_it_speaks_of(kind: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / "few.toml"
    parent = 'from = "pretrain"' if kind == "finetune" else ""
    path.write_text(
        f'title = "few"\nrecipe = "simclrv2"\nencoders = [{{ depth = 50 }}]\n[stages.pretrain]\nkind = "pretrain"\n'
        f'[stages.learn]\nkind = "{kind}"\n{parent}\nlabel_fraction = {share}\n'
        f'[stages.learn.labels]\nsampler = "balanced"\n'
    )
    step = compile([str(path)]).steps[-1]
    for name, value, status in _typed(_WITH_LABELS[kind, share]):
        assert (_shown(step.origins[name].value), step.origins[name].status) == (value, status), name
