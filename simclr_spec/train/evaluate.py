"""Evaluation: the top 5 classes of every test image, and the cosine k-NN that watches pretraining."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from simclr_spec.stages.common import AugmentConfig, EvaluationConfig
from simclr_spec.store.outcomes import TOP, Outcomes
from simclr_spec.train import distributed
from simclr_spec.train.data.photos import Files, chunks
from simclr_spec.train.views.augment import evaluation_view

PIXELS = 2**23
"""Of a batch, at most; and at most BATCH images."""
BATCH = 2048


def batch_of(size: int) -> int:
    """Images (size, size) that are evaluated at once."""
    return max(1, min(BATCH, PIXELS // size**2))


@torch.no_grad()
def outputs(
    network: Callable[[Tensor], Tensor],
    images: Tensor | Files,
    samples: Tensor,
    config: AugmentConfig | EvaluationConfig,
    size: int,
    batch: int,
) -> Tensor:
    """Outputs (n, D) in float32 for the samples (n,), in batches of at most `batch`, of a network that is in eval mode."""
    found = []
    for rows in torch.split(samples, batch):
        views = [evaluation_view(chunk, config, size) for chunk in chunks(images, rows)]
        found.append(network(torch.cat(views)).float())
    return torch.cat(found)


def shared_outputs(
    network: Callable[[Tensor], Tensor],
    images: Tensor | Files,
    samples: Tensor,
    config: AugmentConfig | EvaluationConfig,
    size: int,
) -> Tensor:
    """The same on every rank, which share the work."""
    share = -(-len(samples) // distributed.world_size())
    first = distributed.rank() * share
    mine = samples[torch.arange(first, first + share).clamp(max=len(samples) - 1)]
    return distributed.gather(outputs(network, images, mine, config, size, batch_of(size)))[: len(samples)]


def of_logits(logits: Tensor, labels: Tensor) -> Outcomes:
    """logits (n, classes), labels (n,)."""
    classes = logits.shape[1]
    return _kept(logits.topk(min(TOP, classes)).indices, labels, classes)


def of_votes(votes: Tensor, labels: Tensor, chunk: int = 1024) -> Outcomes:
    """votes (n, classes), labels (n,); among equal votes the lower class comes first, as in argmax; none without any."""
    ranked = torch.cat([part.argsort(dim=1, descending=True, stable=True)[:, :TOP] for part in torch.split(votes, chunk)])
    return _kept(ranked.where(votes.gather(1, ranked) > 0, -1), labels, votes.shape[1])


def _kept(ranked: Tensor, labels: Tensor, classes: int) -> Outcomes:
    small = torch.int16 if classes <= 2**15 else torch.int32
    return Outcomes(*(tensor.to("cpu", small).numpy() for tensor in (ranked, labels)))


class Neighbours:
    """The nearest of a bank to each query by cosine similarity; the bank passes by in parts and is never held as a whole."""

    def __init__(self, queries: Tensor, neighbours: int) -> None:
        """queries (M, D)."""
        self.queries, self.neighbours = F.normalize(queries, dim=1), neighbours
        self.similar = queries.new_empty(len(queries), 0)  # (M, up to neighbours)
        self.labels = torch.empty_like(self.similar, dtype=torch.int64)

    def see(self, bank: Tensor, labels: Tensor, chunk: int = 1024) -> None:
        """A part of the bank (N, D) and its labels (N,); at most chunk x N similarities exist at once."""
        bank, found = F.normalize(bank, dim=1), []
        for rows in torch.split(torch.arange(len(self.queries), device=bank.device), chunk):
            similar = torch.cat([self.similar[rows], self.queries[rows] @ bank.T], 1)
            known = torch.cat([self.labels[rows], labels.expand(len(rows), -1)], 1)
            similar, nearest = similar.topk(min(self.neighbours, similar.shape[1]), dim=1)
            found.append((similar, known.gather(1, nearest)))
        self.similar, self.labels = (torch.cat(column) for column in zip(*found, strict=True))

    def votes(self, classes: int, temperature: float) -> Tensor:
        """(M, classes): each neighbour of similarity s weighs exp(s / temperature)."""
        weights = ((self.similar - 1) / temperature).exp()  # minus 1, the largest similarity: no overflow, the same ranking
        return weights.new_zeros(len(weights), classes).scatter_add_(1, self.labels, weights)
