"""What sits on the encoder: the projection head of the contrastive loss, and a linear classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from simclr_spec.stages.common import EncoderConfig, HeadConfig
from simclr_spec.train.model.norm import GlobalBatchNorm

INITIAL_STD = 0.01
"""Standard deviation of every dense kernel's initial normal (official tf2/model.py:145)."""


class ProjectionHead(nn.Module):
    """(B, features) -> [h, output of layer 0, ..., z]; element k is where fine-tuning from layer k starts.

    Dense layers have no bias. Hidden layers are features x config.width wide, with BN and ReLU; the last is config.out_dim
    wide, with BN (whose beta is there if config.last_beta) and no ReLU. `kept`: how many layers, from the
    head's input, are there.
    """

    def __init__(self, features: int, config: HeadConfig, bn: EncoderConfig, kept: int | None = None) -> None:
        super().__init__()
        hidden = features * config.width
        self.widths = [features, *[hidden] * (config.layers - 1), config.out_dim]
        """of its input and of each layer's output, those that are not kept included"""
        layers = [_Layer(inputs, hidden, bn) for inputs in self.widths[:-2]]
        last = _Layer(self.widths[-2], config.out_dim, bn, relu=False, beta=config.last_beta)
        self.layers = nn.ModuleList([*layers, last][:kept])

    def forward(self, h: Tensor) -> list[Tensor]:
        outputs = [h]
        for layer in self.layers:
            outputs.append(layer(outputs[-1]))
        return outputs


class _Layer(nn.Module):
    def __init__(self, inputs: int, outputs: int, bn: EncoderConfig, *, relu: bool = True, beta: bool = True) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, outputs, bias=False)
        _initialise(self.dense.weight)
        self.norm = GlobalBatchNorm(outputs, bn, center=beta)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.dense(x))
        return x.relu_() if self.relu else x


class Classifier(nn.Linear):
    """(B, features) -> (B, classes) logits, with bias. Starts at zero, or at a normal kernel and zero bias."""

    def __init__(self, features: int, classes: int | None, *, zero: bool = False) -> None:
        assert classes is not None, "images without classes have no classifier"
        nn.Module.__init__(self)
        self.in_features, self.out_features = features, classes
        self.weight = nn.Parameter(torch.zeros(classes, features))
        self.bias = nn.Parameter(torch.zeros(classes))
        if not zero:
            _initialise(self.weight)


def _initialise(kernel: Tensor) -> None:
    if not kernel.is_meta:  # where it would load the compiler, which takes seconds
        nn.init.normal_(kernel, std=INITIAL_STD)
