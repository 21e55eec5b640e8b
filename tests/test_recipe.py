"""The recipe against a second transcription: values and statuses, typed from paper, official code and its authors' answers."""

from __future__ import annotations

from typing import Any

import pytest

from simclr_spec.plan import compile
from simclr_spec.spec.settings import read_layer

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
        augment.crop tensorflow code | augment.crop_area_min 0.08 code | augment.crop_area_max 1.0 code
        augment.crop_aspect_min 0.75 code | augment.crop_aspect_max 1.3333333333333333 code | augment.crop_min_covered 0.1 code
        augment.resize tensorflow code | augment.flip 0.5 code | augment.colour simclrv2 code
        augment.colour_strength 1.0 code | augment.blur_sigma_min 0.1 code | augment.blur_sigma_max 2.0 code
        augment.blur_sigma per_view code | augment.blur_kernel 0.1 code | augment.blur_border zero code
        augment.colour_probability 0.0 paper | augment.greyscale 0.0 paper | augment.blur 0.0 paper
        augment.autoaugment False paper | augment.test_crop 0.875 code
        head.layers 3 paper | head.width 1 code | head.out_dim 128 code | head.last_beta False code
        labels.sampler balanced author
    """,
    "pretrain": """
        epochs 800.0 paper | batch 4096 paper | learning_rate 0.1 paper | warmup 0.05 paper | weight_decay 0.0001 paper
        decay cosine paper | loss nt_xent paper | loss_mean images code | temperature 0.1 code | linear_head True code
        augment.colour_probability 0.8 code | augment.greyscale 0.2 code | augment.blur 0.5 code
        augment.autoaugment False paper
        memory.enabled True paper | memory.keys 65536 assumed | memory.decay 0.999 paper | memory.bn_statistics forward assumed
        memory.enqueue both assumed | memory.in_batch momentum assumed | memory.queries both assumed
        memory.handed_on momentum assumed | knn_neighbours 200 assumed | knn_temperature 0.1 assumed | knn_every 0 assumed
    """,
    "finetune": """
        epochs 60.0 paper | batch 1024 paper | learning_rate 0.002 paper | warmup 0.0 paper | weight_decay 0.0 paper
        from_layer 1 paper
    """,
    "linear_eval": """
        epochs 90.0 assumed | batch 4096 assumed | optimizer sgd assumed | nesterov True code | momentum 0.9 code
        learning_rate 0.1 assumed | learning_rate_scaling linear assumed | warmup 0.0 assumed | weight_decay 1e-06 assumed
        encoder_bn eval assumed | micro_batch none derived | augment.colour_probability 0.0 assumed
        augment.greyscale 0.0 assumed | augment.blur 0.0 assumed | augment.autoaugment False assumed
    """,
    "supervised": """
        epochs 90.0 paper | batch 4096 derived | optimizer sgd author | nesterov True code | momentum 0.9 author
        learning_rate 0.1 author | learning_rate_scaling linear author | warmup 0.05 assumed | weight_decay 0.0001 author
        decay cosine author | micro_batch none assumed | label_smoothing 0.0 assumed | augment.colour_probability 0.0 author
        augment.greyscale 0.0 author | augment.blur 0.0 author | augment.autoaugment False author
    """,
    "distill": """
        epochs 400.0 paper | batch 4096 paper | learning_rate 0.1 paper | warmup 0.05 paper | weight_decay 0.0001 paper
        decay cosine paper | micro_batch none assumed | temperature 1.0 paper | alpha 1.0 paper | images all paper
        temperature_squared False paper | student_init scratch assumed
    """,
}


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)


@pytest.mark.parametrize("kind", TRANSCRIBED)
def test_every_value_and_status_of_the_recipe(kind: str) -> None:
    typed = [line.rsplit(" ", 2) for row in TRANSCRIBED[kind].strip().splitlines() for line in row.strip().split(" | ")]
    settings = read_layer("recipe", "simclrv2", None).settings[kind]
    assert {name: (_shown(setting.value), setting.status) for name, setting in settings.items()} == {
        name: (value, status) for name, value, status in typed
    }


# Figure 4: AutoAugment and label smoothing for supervised models on 1 % and 10 %, and only there.
@pytest.mark.parametrize(("share", "strong"), [(0.01, True), (0.1, True), (1.0, False)])
def test_supervised_training_with_few_labels_augments_more(share: float, strong: bool, tmp_path: Any) -> None:
    path = tmp_path / "few.toml"
    path.write_text(
        f'title = "few"\nrecipe = "simclrv2"\nencoders = [{{ depth = 50 }}]\n'
        f'[stages.supervised]\nkind = "supervised"\nlabel_fraction = {share}\n'
        f'[stages.supervised.labels]\nsampler = "balanced"\n'
    )
    (step,) = compile([str(path)]).steps
    assert step.params["augment"]["autoaugment"] is strong
    assert (step.params["label_smoothing"] > 0) is strong
    assert step.origins["augment.autoaugment"].status == ("paper" if strong else "author")
    assert step.origins["label_smoothing"].status == "assumed"
