"""Optimizers in Google's form, on flat buffers.

For each parameter w with gradient g and momentum v (all of one shape), learning rate r, momentum m, weight decay d:

    g <- g + d w                        where the parameter is decayed
    t  = eta |w| / |g|                  where it is adapted (LARS) and neither norm is 0, else 1; norms over the whole parameter
    v <- m v + r t g                    the learning rate is inside the momentum
    w <- w - v, or with Nesterov  w <- w - (m v + r t g), of the new v

(LARS: official tf2/lars_optimizer.py:22-137; which parameters are decayed and adapted: tf2/model.py:31-69.)

The code does so for many parameters at once. They lie side by side in slabs, flat buffers of weights, momenta and gradients:
two dozen operations per slab whatever the number of tensors, none that waits for the device. |w| and |g| of the adapted ones
are sums over chunks of CHUNK elements, then over a parameter's chunks. On the CPU a slab fits the cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from simclr_spec.stages.common import TrainingConfig
from simclr_spec.train.model.heads import Classifier
from simclr_spec.train.model.norm import GlobalBatchNorm

CHUNK = 256
"""Elements: a parameter starts at a multiple of it; norms are summed over chunks, then over a parameter's chunks."""
SLAB = {"cpu": 2**18}
"""Elements of a slab, where there is a limit; a larger tensor has a slab of its own."""


@dataclass(frozen=True, kw_only=True)
class ParameterRule:
    """What the update does to one parameter."""

    name: str
    parameter: nn.Parameter
    decayed: bool
    adapted: bool
    """Its rate is scaled by its trust ratio (LARS); what is adapted is decayed, too."""


@dataclass(frozen=True, kw_only=True)
class Update:
    """What the update does to all parameters."""

    momentum: float
    nesterov: bool
    weight_decay: float
    trust_coefficient: float


class Optimizer:
    """Momentum SGD, with layer-wise adaptation (LARS) of the parameters whose rule says so.

    Takes over the storage of the parameters: move a network to its device and memory format before. A parameter without a
    gradient counts as one with a zero gradient.
    """

    def __init__(self, rules: Sequence[ParameterRule], update: Update) -> None:
        self._parameters = [rule.parameter for rule in rules]
        groups = [sorted(group, key=lambda rule: (not rule.adapted, not rule.decayed)) for group in _grouped(rules)]
        gradient = rules[0].parameter.detach().new_zeros(max(map(_length, groups)))
        self._slabs = [_Slab(group, gradient[: _length(group)], update) for group in groups]
        self._velocities = {name: tensor for slab in self._slabs for name, tensor in slab.velocities.items()}

    def zero_grad(self) -> None:
        for p in self._parameters:
            p.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """One update from the parameters' gradients."""
        for slab in self._slabs:
            slab.step(learning_rate)

    def state_tensors(self) -> dict[str, Tensor]:
        """Momentum by the parameter's name; copy into these to restore."""
        return self._velocities


class _Slab:
    """Parameters side by side, their momentum, and room for their gradients, which the slabs share: it stays in the cache.

    First lie the adapted ones, each padded with zeros to whole chunks, then what else is decayed, then the others.
    """

    def __init__(self, rules: Sequence[ParameterRule], gradient: Tensor, update: Update) -> None:
        self.update = update
        self.parameters = [rule.parameter for rule in rules]
        self.weights, self.velocity, self.gradient = torch.zeros_like(gradient), torch.zeros_like(gradient), gradient
        self.velocities: dict[str, Tensor] = {}
        self.gradients: list[Tensor] = []
        padding: list[Tensor] = []
        start = 0
        for rule in rules:
            p = rule.parameter
            here, rest = slice(start, start + p.numel()), slice(start + p.numel(), start + _room(rule))
            view = _like(self.weights[here], p)
            view.copy_(p.detach())
            p.data = view
            self.velocities[rule.name] = _like(self.velocity[here], p)
            self.gradients.append(_like(gradient[here], p))
            padding.append(gradient[rest])
            start = rest.stop
        padding = [part for part in padding if len(part)]
        self.gradients += padding  # another slab has been there
        self.zeros = [torch.zeros_like(part) for part in padding]
        decayed, adapted = sum(_room(r) for r in rules if r.decayed), sum(_room(r) for r in rules if r.adapted)
        self.decayed = gradient[:decayed], self.weights[:decayed]
        self.adapted = gradient[:adapted].view(-1, CHUNK), self.weights[:adapted].view(-1, CHUNK)
        self.others = gradient[adapted:]
        chunks = [_room(rule) // CHUNK for rule in rules if rule.adapted]
        self.lengths = torch.tensor(chunks, dtype=torch.int64, device=gradient.device)
        self.owner = torch.repeat_interleave(self.lengths)
        self.norms = gradient.new_empty(len(self.owner), 2)

    def step(self, learning_rate: float) -> None:
        """g <- g + d w; g <- r t g; v <- m v + g; w <- w - v, or w - g - m v."""
        weights, velocity, gradient, momentum = self.weights, self.velocity, self.gradient, self.update.momentum
        gradients = [torch.zeros_like(p) if (found := p.grad) is None else found for p in self.parameters]
        torch._foreach_copy_(self.gradients, gradients + self.zeros)
        self.decayed[0].add_(self.decayed[1], alpha=self.update.weight_decay)
        if len(self.owner):
            self.adapted[0].mul_(self._rates(learning_rate))
        self.others.mul_(learning_rate)
        torch.add(gradient, velocity, alpha=momentum, out=velocity)
        if self.update.nesterov:
            weights.sub_(gradient)
        weights.sub_(velocity, alpha=momentum if self.update.nesterov else 1)

    def _rates(self, learning_rate: float) -> Tensor:
        """(chunks, 1): lr eta |w| / |g| of the parameter to which a chunk belongs, or lr."""
        for flat, norms in zip(self.adapted, self.norms.unbind(1), strict=True):
            torch.linalg.vector_norm(flat, dim=1, out=norms)
        # unsafe: no check of the lengths, which would make the CPU wait for the device.
        norms = torch.segment_reduce(self.norms.square_(), "sum", lengths=self.lengths, unsafe=True).sqrt_()
        g, w = norms[:, :1], norms[:, 1:]
        rates: Tensor = (w / g).mul_(learning_rate * self.update.trust_coefficient).masked_fill_(w * g == 0, learning_rate)
        return rates.index_select(0, self.owner)


def _room(rule: ParameterRule) -> int:
    """Elements in a slab."""
    size = rule.parameter.numel()
    return -(-size // CHUNK) * CHUNK if rule.adapted else size


def _length(rules: Sequence[ParameterRule]) -> int:
    return sum(map(_room, rules))


def _grouped(rules: Sequence[ParameterRule]) -> Iterator[list[ParameterRule]]:
    """Consecutive parameters that share a slab."""
    group: list[ParameterRule] = []
    for rule in rules:
        if group and _length([*group, rule]) > SLAB.get(rule.parameter.device.type, math.inf):
            yield group
            group = []
        group.append(rule)
    yield group


def _channels_last(p: Tensor) -> bool:
    return p.dim() == 4 and not p.is_contiguous() and p.is_contiguous(memory_format=torch.channels_last)


def _like(flat: Tensor, p: Tensor) -> Tensor:
    """A view of `flat` with the shape and memory format of `p`."""
    if _channels_last(p):
        o, i, h, w = p.shape
        return flat.view(o, h, w, i).permute(0, 3, 1, 2)
    return flat.view(p.shape)


def optimizer(network: nn.Module, config: TrainingConfig) -> Optimizer:
    """The official exclusions, over the parameters that require gradients.

    LARS: BN, biases and classifiers are neither adapted nor decayed, but a classifier's kernel is decayed as by wd/2 |w|^2 in
    the loss; with `lars_scope` all, everything is adapted and decayed. SGD: everything but BN is decayed.
    """
    rules = []
    lars = config.optimizer == "lars"
    everything = lars and config.lars_scope == "all"
    for prefix, module in network.named_modules():
        classifier = isinstance(module, Classifier)
        for name, p in module.named_parameters(prefix, recurse=False):
            if p.requires_grad:
                decayed = not (isinstance(module, GlobalBatchNorm) or (lars and name.endswith("bias")))
                adapted = lars and decayed and not classifier
                decayed = decayed and not (classifier and not config.decay_classifier)
                decayed, adapted = decayed or everything, adapted or everything
                rules.append(ParameterRule(name=name, parameter=p, decayed=decayed, adapted=adapted))
    update = Update(
        momentum=config.momentum,
        nesterov=config.nesterov,
        weight_decay=config.weight_decay,
        trust_coefficient=config.trust_coefficient,
    )
    return Optimizer(rules, update)
