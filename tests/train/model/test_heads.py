"""The projection head and the classifier, against the official head's golden numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from simclr_spec.stages.common import HeadConfig
from simclr_spec.train.model.heads import Classifier, ProjectionHead
from tests.places import GOLDEN
from tests.train.golden_fill import encoder_params, fill, tensor_name

BN = encoder_params(50)


@pytest.mark.parametrize("layers", [2, 3, 4])
def test_official_heads(layers: int) -> None:
    facts = next(f for f in json.loads((GOLDEN / "projection_head.json").read_text()) if f["num_proj_layers"] == layers)
    arrays = np.load(GOLDEN / "projection_head.npz")
    config = HeadConfig(layers=layers, width=1, out_dim=facts["proj_out_dim"], last_beta=False)
    head = ProjectionHead(64, config, BN).double()
    fill({"head": head}, facts["variables"], facts["seed"])
    x = torch.tensor(arrays["x"]).double()
    with torch.no_grad():
        for mode, bound in (("infer", 1e-5), ("train", 5e-5)):
            outputs = head.train(mode == "train")(x)
            np.testing.assert_allclose(outputs[-1], arrays[f"L{layers}_z_{mode}"], rtol=0, atol=bound)
            for selector in (0, 1, 2, -1):
                golden = arrays[f"L{layers}_sel{selector}_ft_{mode}"]
                np.testing.assert_allclose(outputs[selector], golden, rtol=0, atol=bound)
    state = {f"head.{name}": t for name, t in head.state_dict().items()}
    for name in arrays.files:
        if name.startswith(f"L{layers}_after_train_var"):
            index = int(name.rsplit("var", 1)[1])
            ours = state[tensor_name(facts["variables"][index]["role"])]
            np.testing.assert_allclose(ours, arrays[name], rtol=0, atol=1e-6)


def test_parameter_counts_of_the_published_heads() -> None:
    rows = json.loads((GOLDEN / "param_counts.json").read_text())["projection_heads"]
    assert {row["num_proj_layers"] for row in rows} == {2, 3, 4}
    for row in rows:
        with torch.device("meta"):
            head = ProjectionHead(
                row["input_dim"], HeadConfig(layers=row["num_proj_layers"], width=1, out_dim=128, last_beta=False), BN
            )
        assert sum(p.numel() for p in head.parameters()) == row["trainable"]
        assert sum(b.numel() for b in head.buffers()) == row["non_trainable"]


def test_width_multiplies_hidden_layers_only() -> None:
    head = ProjectionHead(6, HeadConfig(layers=3, width=2, out_dim=4, last_beta=False), BN)
    assert [out.shape[1] for out in head(torch.rand(5, 6))] == [6, 12, 12, 4]


def test_inputs_of_layers_are_left_as_they_are() -> None:
    head = ProjectionHead(6, HeadConfig(layers=2, width=1, out_dim=4, last_beta=False), BN)
    h = torch.randn(5, 6)
    before = h.clone()
    outputs = head(h)
    assert torch.equal(outputs[0], before)
    assert (outputs[1] >= 0).all()
    assert (outputs[2] < 0).any()


def test_classifier_starts() -> None:
    torch.manual_seed(0)
    normal, zero = Classifier(400, 100), Classifier(400, 100, zero=True)
    assert normal.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert normal.bias.count_nonzero() == 0
    assert zero.weight.count_nonzero() == zero.bias.count_nonzero() == 0
    assert normal(torch.rand(3, 400)).shape == (3, 100)
