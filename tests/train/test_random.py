"""Randomness is a pure function of its key, uniform, and independent over neighbouring keys, indices and draws."""

from __future__ import annotations

import pytest
import torch

from simclr_spec.core.splitmix import fold, shuffled
from simclr_spec.train.random import permutation, uniform

N = 1 << 16
INDEX = torch.arange(N)


def test_golden_values() -> None:
    """The numbers of all finished runs depend on these."""
    assert fold(1, 2) == 0xC71399CE7A6A0F05
    assert (uniform(1, 2, index=torch.tensor([0, 1, 1 << 40]), draws=2) * 2**24).long().tolist() == [
        [8527493, 10662623],
        [16068593, 4728850],
        [2287318, 2474049],
    ]
    assert permutation(7, n=10).tolist() == shuffled(7, n=10) == [0, 1, 6, 8, 9, 4, 7, 2, 5, 3]


def test_a_draw_depends_on_its_own_index_only() -> None:
    whole = uniform(3, index=INDEX, draws=4)
    assert torch.equal(uniform(3, index=INDEX[100:107], draws=4), whole[100:107])
    assert torch.equal(uniform(3, index=INDEX, draws=2, first=1), whole[:, 1:3])


@pytest.mark.parametrize("bins", [2, 16, 1000])
def test_uniform_by_chi_square(bins: int) -> None:
    for u in uniform(5, index=INDEX, draws=4).T:
        counts = torch.histc(u, bins, 0, 1)
        statistic = ((counts - N / bins) ** 2 / (N / bins)).sum().item()
        freedom = bins - 1
        assert abs(statistic - freedom) < 5 * (2 * freedom) ** 0.5
        assert 0 <= u.min() < 1e-3
        assert 0.999 < u.max() < 1


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (uniform(0, index=INDEX, draws=1), uniform(1, index=INDEX, draws=1)),  # seeds
        (uniform(4, 0, index=INDEX, draws=1), uniform(4, 1, index=INDEX, draws=1)),  # views
        (uniform(0, 4, index=INDEX, draws=1), uniform(4, 0, index=INDEX, draws=1)),  # order of the key
        (uniform(0, index=INDEX, draws=1), uniform(0, index=INDEX + 1, draws=1)),  # samples
        (uniform(0, index=INDEX, draws=1), uniform(0, index=INDEX + (1 << 32), draws=1)),  # epochs
        (uniform(0, index=INDEX, draws=2)[:, :1], uniform(0, index=INDEX, draws=2)[:, 1:]),  # draws
    ],
)
def test_neighbours_are_independent(a: torch.Tensor, b: torch.Tensor) -> None:
    """A 16 x 16 table of joint counts is flat, and the correlation is noise."""
    cells = ((a * 16).long() * 16 + (b * 16).long())[:, 0]
    counts = torch.bincount(cells, minlength=256).double()
    statistic = ((counts - N / 256) ** 2 / (N / 256)).sum().item()
    assert abs(statistic - 255) < 5 * (2 * 255) ** 0.5
    assert abs(torch.corrcoef(torch.cat((a, b), 1).T)[0, 1].item()) < 5 / N**0.5


def test_permutation_is_one_and_is_uniform() -> None:
    assert torch.equal(permutation(0, 1, n=1000).sort().values, torch.arange(1000))
    first = torch.stack([permutation(seed, n=5) for seed in range(2000)])[:, 0]
    assert (torch.bincount(first, minlength=5) - 400).abs().max() < 5 * 18  # 18 = standard deviation of a count


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda_draws_the_same() -> None:
    assert torch.equal(uniform(9, index=INDEX.cuda(), draws=3).cpu(), uniform(9, index=INDEX, draws=3))
