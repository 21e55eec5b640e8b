"""Top-k counts and the k-NN monitor against plain loops."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from simclr_spec.data.registry import LOADERS
from simclr_spec.stages.kinds import KINDS
from simclr_spec.train.data import datasets
from simclr_spec.train.evaluate import Neighbours, count_correct, outputs, percentages
from simclr_spec.train.loop.fit import stage_class
from simclr_spec.train.stages.stage import Stage
from tests.steps import disturb, step
from tests.train.views.augment_config import digit_images, official


def test_counts_of_a_known_ranking() -> None:
    logits = torch.tensor([[9.0, 8, 7, 6, 5, 4], [4, 5, 6, 7, 8, 9], [1, 2, 3, 9, 8, 7]])
    counts = count_correct(logits, torch.tensor([0, 1, 0]))  # first, fifth, sixth
    assert counts.tolist() == [1, 2, 3]
    assert percentages(counts) == {"top1": 100 / 3, "top5": 200 / 3}


def test_counts_add_up_over_shares_and_batches() -> None:
    torch.manual_seed(0)
    images = datasets.as_tensors(LOADERS["digits"].read(None))
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 10)).eval()
    samples = torch.arange(len(images.test_labels))

    def counts(rows: Tensor, batch: int) -> Tensor:
        return count_correct(outputs(network, images.test, rows, official(), 8, batch), images.test_labels[rows])

    whole = counts(samples, batch=360)
    assert torch.equal(whole, counts(samples[::2], batch=50) + counts(samples[1::2], batch=50))
    assert whole[2] == 360


def test_few_classes_have_a_shorter_top_five() -> None:
    assert count_correct(torch.eye(3), torch.arange(3)).tolist() == [3, 3, 3]


@pytest.mark.parametrize("part", [50, 20, 3])
def test_votes_of_neighbours_equal_a_loop_however_the_bank_is_cut(part: int) -> None:
    torch.manual_seed(1)
    bank, labels, queries = torch.randn(50, 8), torch.randint(0, 4, (50,)), torch.randn(7, 8)
    near = Neighbours(queries, 5)
    for rows in torch.split(torch.arange(50), part):
        near.see(bank[rows], labels[rows], chunk=3)
    assert near.similar.shape == (7, 5)
    votes = near.votes(4, 0.1)
    for query, vote in zip(queries, votes, strict=True):
        similar = [torch.cosine_similarity(query, key, dim=0).item() for key in bank]
        expected = torch.zeros(4)
        for i in sorted(range(50), key=lambda i: -similar[i])[:5]:
            expected[labels[i]] += math.exp((similar[i] - 1) / 0.1)
        torch.testing.assert_close(vote, expected, rtol=1e-4, atol=1e-8)


def test_knn_of_raw_digits_is_good() -> None:
    """Pixels of digits are good features: a monitor that fails here is wrong."""
    images = datasets.as_tensors(LOADERS["digits"].read(None))
    bank, queries = (pixels.flatten(1).float() for pixels in digit_images())
    near = Neighbours(queries, 20)
    near.see(bank, images.train_labels)
    votes = near.votes(10, 0.1)
    assert (votes.argmax(1) == images.test_labels).double().mean() > 0.95


CASES: list[tuple[str, dict[str, Any]]] = [("supervised", {}), ("pretrain", {"linear_head": True, "memory__enabled": True})]


def disturbed(kind: str, overrides: dict[str, Any]) -> tuple[Stage[Any], datasets.ImageSet]:
    """A stage in training mode but for one module, with BN away from 1 and 0, and its images."""
    config = KINDS[kind].build(step(kind, test_images=30, **overrides))
    torch.manual_seed(0)
    stage = stage_class(kind)(config, {}).train()
    stage.get_submodule("encoder.group2").eval()
    disturb(stage)
    return stage, datasets.load(config.dataset)


def test_an_images_outputs_do_not_depend_on_its_batch() -> None:
    stage, images = disturbed("supervised", {})
    samples = torch.arange(12)
    whole = stage.outputs(stage, images.test, samples)
    alone = torch.cat([stage.outputs(stage, images.test, samples[i : i + 1]) for i in range(12)])
    torch.testing.assert_close(whole, alone)
    with torch.no_grad():
        torch.testing.assert_close(whole, stage.eval()(digit_images()[1][:12].float() / 255))


@pytest.mark.parametrize(("kind", "overrides"), CASES)
def test_evaluation_moves_nothing_and_leaves_every_module_in_its_mode(kind: str, overrides: dict[str, Any]) -> None:
    stage, images = disturbed(kind, overrides)
    before = {name: tensor.clone() for name, tensor in stage.state_dict().items()}
    modes = [module.training for module in stage.modules()]
    assert 0 < sum(modes) < len(modes)
    metrics = stage.evaluate(images)
    assert metrics == stage.evaluate(images)
    assert all(torch.equal(tensor, before[name]) for name, tensor in stage.state_dict().items())
    assert [module.training for module in stage.modules()] == modes
