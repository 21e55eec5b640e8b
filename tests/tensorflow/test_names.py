"""The official names of golden variables; no TensorFlow is needed."""

from __future__ import annotations

import json

from tests.places import GOLDEN
from tests.tensorflow.names import official_names


def test_the_finetuned_network() -> None:
    variables = json.loads((GOLDEN / "trajectory_finetune.json").read_text())["variables"]
    named = dict(zip((variable["role"] for variable in variables), official_names(variables), strict=True))
    assert len(set(named.values())) == len(named)
    assert named["stem.1.conv.kernel"] == "base_model/conv2d/kernel"
    assert named["block_group1.block0.shortcut.1.bn.moving_mean"] == "base_model/batch_normalization_1/moving_mean"
    assert named["block_group4.block1.main.2.conv.kernel"] == "base_model/conv2d_20/kernel"
    assert named["projection_head.layer2.bn.gamma"] == "head_contrastive/nl_2/batch_normalization/gamma"
    assert named["projection_head.layer0.dense.kernel"] == "head_contrastive/nl_0/dense/kernel"
    assert named["head_supervised.dense.bias"] == "head_supervised/linear_layer/dense/bias"
