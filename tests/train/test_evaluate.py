"""What became of each test image, and the k-NN monitor against plain loops."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from simclr_spec.data.registry import LOADERS
from simclr_spec.stages.kinds import KINDS
from simclr_spec.store.outcomes import Outcomes, metrics
from simclr_spec.train.data import datasets
from simclr_spec.train.evaluate import Neighbours, of_logits, of_votes, outputs
from simclr_spec.train.loop.fit import stage_class
from simclr_spec.train.stage import Stage
from tests.steps import disturb, step
from tests.train.ranks import Counter, in_processes
from tests.train.views.augment_config import digit_images, official


def test_outcomes_of_a_known_ranking() -> None:
    logits = torch.tensor([[9.0, 8, 7, 6, 5, 4], [4, 5, 6, 7, 8, 9], [1, 2, 3, 9, 8, 7]])
    found = of_logits(logits, torch.tensor([0, 1, 0]))  # first, fifth, sixth
    assert found.top5.tolist() == [[0, 1, 2, 3, 4], [5, 4, 3, 2, 1], [3, 4, 5, 2, 1]]
    assert found.labels.tolist() == [0, 1, 0]
    assert metrics({"": found}) == {"top1": 100 / 3, "top5": 200 / 3}
    assert metrics({"linear": found}) == {"linear_top1": 100 / 3, "linear_top5": 200 / 3}


@pytest.mark.parametrize(("classes", "kind"), [(6, "int16"), (2**15, "int16"), (2**15 + 1, "int32")])
def test_outcomes_are_as_small_as_the_classes_allow(classes: int, kind: str) -> None:
    last = torch.arange(classes).float()[None]
    for found in (of_logits(last, torch.tensor([classes - 1])), of_votes(last, torch.tensor([classes - 1]))):
        assert {str(found.top5.dtype), str(found.labels.dtype)} == {kind}
        assert found.top5.tolist() == [[classes - 1 - i for i in range(5)]]
        assert found.percent(1) == 100


def test_among_equal_logits_topk_decides_as_it_always_did() -> None:
    logits = torch.randint(0, 3, (500, 40), generator=torch.Generator().manual_seed(0)).float()
    assert of_logits(logits, torch.zeros(500)).top5.tolist() == logits.topk(5).indices.tolist()


@pytest.mark.parametrize("chunk", [1, 7, 1024])
def test_among_equal_votes_the_lower_class_comes_first_and_none_without_any(chunk: int) -> None:
    votes = torch.randint(0, 3, (40, 30), generator=torch.Generator().manual_seed(0)).float()
    votes[0] = torch.zeros(30)
    votes[0, [3, 9, 20]] = torch.tensor([1.0, 2, 1])
    found = of_votes(votes, torch.zeros(40), chunk)
    assert found.top5[0].tolist() == [9, 3, 20, -1, -1]
    assert found.top5[:, 0].tolist() == votes.argmax(1).tolist()
    for row, top in zip(votes.tolist(), found.top5.tolist(), strict=True):
        wanted = sorted((i for i in range(30) if row[i]), key=lambda i: -row[i])[:5]
        assert top == wanted + [-1] * (5 - len(wanted))


def test_outcomes_do_not_depend_on_batches() -> None:
    torch.manual_seed(0)
    images = datasets.as_tensors(LOADERS["digits"].read(None))
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 10)).eval()
    samples = torch.arange(len(images.test_labels))

    def found(rows: Tensor, batch: int) -> Outcomes:
        return of_logits(outputs(network, images.test, rows, official(), 8, batch), images.labels_of(rows))

    whole, part = found(samples, batch=360), found(samples[1::2], batch=50)
    assert whole.top5.shape == (360, 5)
    assert whole.top5[1::2].tolist() == part.top5.tolist()
    assert whole.labels[1::2].tolist() == part.labels.tolist()


def test_few_classes_have_a_shorter_top_five() -> None:
    found = of_logits(torch.eye(3), torch.arange(3))
    assert found.top5.shape == (3, 3)
    assert metrics({"": found}) == {"top1": 100, "top5": 100}


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


def kept(_rank: int = 0, _world: int = 1, _counter: Counter | None = None) -> list[Any]:
    """Of every case: test, classes and labels of its images."""
    found: list[Any] = []
    for kind, overrides in CASES:
        stage, images = disturbed(kind, overrides)
        found += [(name, test.top5.tolist(), test.labels.tolist()) for name, test in stage.evaluate(images).items()]
    return found


def test_the_step_keeps_the_greatest_logits_of_its_images_in_their_order() -> None:
    stage, images = disturbed("supervised", {})
    samples = datasets.evaluation_samples(images.test_labels, 30)
    with torch.no_grad():
        logits = stage.eval()(digit_images()[1][samples].float() / 255)
    assert kept()[0] == ("", logits.topk(5).indices.tolist(), images.test_labels[samples].tolist())


@pytest.mark.parametrize("world", [2, 4])
def test_every_rank_has_all_outcomes_in_order_however_they_were_shared(world: int, tmp_path: Path) -> None:
    """30 images are no multiple of 4: the last rank's share is shorter."""
    alone = kept()
    assert [name for name, *_ in alone] == ["", "knn", "linear"]
    for found in in_processes(world, kept, tmp_path / "meeting"):
        assert found == alone


@pytest.mark.parametrize(("kind", "overrides"), CASES)
def test_evaluation_moves_nothing_and_leaves_every_module_in_its_mode(kind: str, overrides: dict[str, Any]) -> None:
    stage, images = disturbed(kind, overrides)
    before = {name: tensor.clone() for name, tensor in stage.state_dict().items()}
    modes = [module.training for module in stage.modules()]
    assert 0 < sum(modes) < len(modes)
    first, again = stage.evaluate(images), stage.evaluate(images)
    assert first.keys() == again.keys()
    assert all(first[test].top5.tolist() == again[test].top5.tolist() for test in first)
    assert all(torch.equal(tensor, before[name]) for name, tensor in stage.state_dict().items())
    assert [module.training for module in stage.modules()] == modes
