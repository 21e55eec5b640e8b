"""Optimizers in Google's form, on flat buffers, and the learning-rate schedule.

The learning rate is inside the momentum buffer: v <- m v + lr trust g, w <- w - v (Nesterov: w <- w - m v - lr trust g).
LARS takes trust = eta |w| / |g|, g with its weight decay, and 1 where either norm is 0. Parameters lie side by side in slabs: a
dozen operations per slab whatever the number of tensors, and none that waits for the device. On the CPU a slab fits the cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from simclr_spec import params
from simclr_spec.train.heads import Classifier
from simclr_spec.train.norm import GlobalBatchNorm

CHUNK = 64
"""Elements: an adapted tensor starts at a multiple of it; norms are summed over chunks, then over a tensor's chunks."""
SLAB = {"cpu": 2**18}
"""Elements of a slab, where there is a limit; a larger tensor has a slab of its own."""

Named = Sequence[tuple[str, nn.Parameter]]


@dataclass(frozen=True)
class Rule:
    """What the update does to some parameters."""

    momentum: float
    nesterov: bool
    weight_decay: float
    trust_coefficient: float | None
    """None: no layer-wise adaptation."""


class Optimizer:
    """Momentum SGD, with layer-wise adaptation (LARS) where the rule says so.

    Takes over the storage of the parameters: move a network to its device and memory format before. A parameter without a
    gradient counts as one with a zero gradient.
    """

    def __init__(self, groups: Sequence[tuple[Named, Rule]]) -> None:
        self._slabs = [_Slab(part, rule) for named, rule in groups for part in _parts(named)]
        self._parameters = [p for named, _ in groups for _, p in named]
        self._velocities = {name: tensor for slab in self._slabs for name, tensor in slab.velocities.items()}
        self._scratch = max((slab.weights for slab in self._slabs), key=len).clone()

    def zero_grad(self) -> None:
        for p in self._parameters:
            p.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """One update from the parameters' gradients."""
        for slab in self._slabs:
            slab.step(learning_rate, self._scratch)

    def state_tensors(self) -> dict[str, Tensor]:
        """Momentum by the parameter's name; copy into these to restore."""
        return self._velocities


class _Slab:
    """Parameters side by side and their momentum; where norms are needed, each is padded with zeros to whole chunks."""

    def __init__(self, named: Named, rule: Rule) -> None:
        self.rule = rule
        self.parameters = [p for _, p in named]
        first = self.parameters[0].detach()
        size = 1 if rule.trust_coefficient is None else CHUNK
        chunks = [-(-p.numel() // size) for p in self.parameters]
        self.weights = first.new_zeros(sum(chunks) * size)
        self.velocity = torch.zeros_like(self.weights)
        padding = [first.new_zeros(count * size - p.numel()) for count, p in zip(chunks, self.parameters, strict=True)]
        self.layout = [
            (p, _channels_last(p), rest if len(rest) else None) for p, rest in zip(self.parameters, padding, strict=True)
        ]
        self.velocities: dict[str, Tensor] = {}
        start = 0
        for (name, p), count in zip(named, chunks, strict=True):
            view = _like(self.weights[start : start + p.numel()], p)
            view.copy_(p.detach())
            p.data = view
            self.velocities[name] = _like(self.velocity[start : start + p.numel()], p)
            start += count * size
        if rule.trust_coefficient is not None:
            self.lengths = torch.tensor(chunks, device=first.device)
            self.owner = torch.repeat_interleave(torch.arange(len(chunks), device=first.device), self.lengths)

    def step(self, learning_rate: float, scratch: Tensor) -> None:
        rule, weights, velocity = self.rule, self.weights, self.velocity
        gradient = self._gradient(scratch[: len(weights)])
        velocity.mul_(rule.momentum)
        if rule.trust_coefficient is None:
            velocity.add_(gradient, alpha=learning_rate)
            if rule.nesterov:
                weights.sub_(gradient, alpha=learning_rate)
        else:
            trust, gradient = self._trust(gradient, rule.trust_coefficient), gradient.view(-1, CHUNK)
            velocity.view(-1, CHUNK).addcmul_(gradient, trust, value=learning_rate)
            if rule.nesterov:
                weights.view(-1, CHUNK).addcmul_(gradient, trust, value=-learning_rate)
        weights.sub_(velocity, alpha=rule.momentum if rule.nesterov else 1)

    def _gradient(self, scratch: Tensor) -> Tensor:
        """Gradients with their weight decay, in the slab's layout."""
        pieces = []
        for p, channels_last, padding in self.layout:
            gradient = torch.zeros_like(p) if p.grad is None else p.grad
            pieces.append((gradient.permute(0, 2, 3, 1) if channels_last else gradient).reshape(-1))
            if padding is not None:
                pieces.append(padding)
        decay = self.rule.weight_decay
        if len(pieces) == 1:
            return torch.add(pieces[0], self.weights, alpha=decay, out=scratch) if decay else pieces[0]
        torch.cat(pieces, out=scratch)
        return scratch.add_(self.weights, alpha=decay) if decay else scratch

    def _trust(self, gradient: Tensor, coefficient: float) -> Tensor:
        """(chunks, 1): eta |w| / |g| of the tensor to which a chunk belongs, or 1."""
        squares = torch.stack([torch.linalg.vector_norm(flat.view(-1, CHUNK), dim=1) for flat in (self.weights, gradient)], 1)
        # unsafe: no check of the lengths, which would make the CPU wait for the device.
        norms = torch.segment_reduce(squares.square_(), "sum", lengths=self.lengths, unsafe=True).sqrt_()
        trust = torch.where((norms > 0).all(1), coefficient * norms[:, 0] / norms[:, 1], 1.0)
        return trust[self.owner, None]


def _parts(named: Named) -> Iterator[list[tuple[str, nn.Parameter]]]:
    """Consecutive parameters that share a slab."""
    part: list[tuple[str, nn.Parameter]] = []
    size = 0
    for name, p in named:
        if part and size + p.numel() > SLAB.get(p.device.type, math.inf):
            yield part
            part, size = [], 0
        part.append((name, p))
        size += p.numel()
    if part:
        yield part


def _channels_last(p: Tensor) -> bool:
    return p.dim() == 4 and not p.is_contiguous() and p.is_contiguous(memory_format=torch.channels_last)


def _like(flat: Tensor, p: Tensor) -> Tensor:
    """A view of `flat` with the shape and memory format of `p`."""
    if _channels_last(p):
        o, i, h, w = p.shape
        return flat.view(o, h, w, i).permute(0, 3, 1, 2)
    return flat.view(p.shape)


def optimizer(network: nn.Module, config: params.Training) -> Optimizer:
    """The official exclusions, over the parameters that require gradients.

    LARS: BN, biases and classifiers are neither adapted nor decayed, but a classifier's kernel is decayed as by wd/2 |w|^2 in
    the loss. SGD: everything but BN is decayed.
    """
    adapted, decayed, plain = [], [], []
    lars = config.optimizer == "lars"
    for prefix, module in network.named_modules():
        for name, p in module.named_parameters(prefix, recurse=False):
            if not p.requires_grad:
                continue
            if isinstance(module, GlobalBatchNorm) or (lars and name.endswith("bias")):
                plain.append((name, p))
            elif lars and not isinstance(module, Classifier):
                adapted.append((name, p))
            else:
                decayed.append((name, p))
    momentum, nesterov, decay = config.momentum, config.nesterov, config.weight_decay
    return Optimizer(
        [
            (adapted, Rule(momentum, nesterov, decay, config.trust_coefficient)),
            (decayed, Rule(momentum, nesterov, decay, None)),
            (plain, Rule(momentum, nesterov, 0.0, None)),
        ]
    )


def train_steps(examples: int, epochs: float, batch: int) -> int:
    """As the official code counts them: floor, then one more."""
    return int(examples * epochs) // batch + 1


def warmup_steps(examples: int, epochs: float, warmup: float, batch: int) -> int:
    """`warmup` is a share of `epochs`."""
    return round(epochs * warmup * examples // batch)


def peak_learning_rate(config: params.Training, batch: int) -> float:
    """The coefficient, scaled by the square root of the batch or linearly."""
    return config.learning_rate * {"sqrt": math.sqrt(batch), "linear": batch / 256, "none": 1.0}[config.learning_rate_scaling]


def learning_rate(done: int, config: params.Training, *, examples: int, batch: int, total: int) -> float:
    """Of the train step that follows `done` ones: linear from 0 during the warm-up, then a cosine to 0 at `total`."""
    if config.train_steps is None:
        warmup = warmup_steps(examples, config.epochs, config.warmup, batch)
    else:
        warmup = round(config.warmup * total)
    peak = peak_learning_rate(config, batch)
    if done < warmup:
        return peak * done / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, (done - warmup) / (total - warmup))))
