"""Networks that TensorFlow wrote compute what the official code computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.tensorflow.conftest import Tensorflow
from tests.tensorflow.names import official_tensors
from tests.train.weights.test_read import check_pool, encoder_alone, golden


@pytest.mark.parametrize("key", ["r18_w1_odd", "r50_w1_sk0", "r50_w1_sk"])
@pytest.mark.parametrize("verb", ["saver", "saved_model"])
def test_golden_networks(verb: str, key: str, tmp_path: Path, shared: Path, tensorflow: Tensorflow) -> None:
    facts, arrays = golden(shared / "golden", f"resnet_{key}")
    held = official_tensors(facts["variables"], facts["seed"], slots=False)
    np.savez(tmp_path / "tensors.npz", **held)  # type: ignore[arg-type]
    tensorflow(verb, tmp_path / "tensors.npz", tmp_path / "m")
    check_pool(encoder_alone(facts, train_step=250228), tmp_path / "m", facts, arrays)
