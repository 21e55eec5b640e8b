"""ResNet up to its final average pooling: width multiplier, selective kernels with ResNet-D, ImageNet or CIFAR stem.

Follows the official TensorFlow network: every group starts with a projection shortcut, convolutions have no bias and pad
(k - 1) // 2 on both sides, and the last BN of each block starts at gamma 0.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simclr_spec.core.errors import UsageError
from simclr_spec.stages.common import EncoderConfig
from simclr_spec.stages.network import BLOCKS, BOTTLENECKS
from simclr_spec.train import recompute
from simclr_spec.train.model.norm import GlobalBatchNorm

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels in [0, 1]; by these torchvision's networks are standardised (torchvision.transforms._presets)."""


class Encoder(nn.Module):
    """(B, 3, H, W) in [0, 1] -> (B, features). Any image size fits."""

    mean: Tensor | None
    deviation: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        basic = config.depth < BOTTLENECKS
        if basic and config.sk:
            has_none = f"depth {config.depth} has none. Use depth {BOTTLENECKS} or more, or sk = false."
            raise UsageError(f"SK needs bottleneck blocks; {has_none}")
        base = config.base_width * config.width
        self.stem = _stem(base, config)
        self.max_pool = config.max_pool if config.stem in ("imagenet", "standardised") else None
        for name, values in (("mean", MEAN), ("deviation", DEVIATION)):  # no file fills them: never on the meta device
            known = torch.tensor(values, device="cpu").view(3, 1, 1) if config.stem == "standardised" else None
            self.register_buffer(name, known, persistent=False)
        channels = base
        groups = []
        for number, blocks in enumerate(BLOCKS[config.depth]):
            width, stride = base * 2**number, 1 if number == 0 else 2
            out = width if basic else 4 * width
            groups.append(
                nn.Sequential(
                    Block(channels, width, out, stride, config, shortcut=True),
                    *(Block(out, width, out, 1, config) for _ in range(blocks - 1)),
                )
            )
            channels = out
        self.group1, self.group2, self.group3, self.group4 = groups
        self.features = channels
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                _initialise(module.weight, config.init)

    def forward(self, x: Tensor) -> Tensor:
        x = recompute.through(self._pooled_stem, x)
        x = self.group4(self.group3(self.group2(self.group1(x))))
        return x.mean((2, 3))

    def _pooled_stem(self, x: Tensor) -> Tensor:
        x = self.stem(x if self.mean is None else (x - self.mean) / self.deviation)
        return x if self.max_pool is None else max_pool(x, self.max_pool)


class ConvNorm(nn.Module):
    """Convolution without bias, BN and, if `relu`, ReLU; BN starts at gamma 0 if `zero`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int,
        config: EncoderConfig,
        *,
        relu: bool = True,
        zero: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, bias=False)
        self.norm = GlobalBatchNorm(outputs, config, zero_gamma=zero)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return x.relu_() if self.relu else x


class SelectiveKernel(nn.Module):
    """Two 3x3 streams in one convolution, mixed per channel by a gate that sees the mean of their sum."""

    def __init__(self, inputs: int, width: int, stride: int, config: EncoderConfig) -> None:
        super().__init__()
        middle = max(int(width * config.sk_ratio), config.sk_min_width)
        self.streams = ConvNorm(inputs, 2 * width, 3, stride, config)
        if config.sk_dilation > 1:
            self.streams.conv = _TwoDilations(inputs, 2 * width, stride, config.sk_dilation)
        self.squeeze = nn.Linear(width, middle, bias=False)
        self.norm = GlobalBatchNorm(middle, config)
        self.expand = nn.Linear(middle, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.streams(x).chunk(2, 1)
        gate = self.expand(self.norm(self.squeeze((first + second).mean((2, 3)))).relu_())
        gate_first, gate_second = gate.chunk(2, 1)
        # The softmax over two logits is the sigmoid of their difference.
        return torch.lerp(second, first, torch.sigmoid(gate_first - gate_second)[:, :, None, None])


class _TwoDilations(nn.Conv2d):
    """A 3x3 convolution whose second half of outputs is dilated."""

    def __init__(self, inputs: int, outputs: int, stride: int, dilation: int) -> None:
        super().__init__(inputs, outputs, 3, stride, 1, bias=False)
        self.rate = dilation

    def forward(self, x: Tensor) -> Tensor:
        kernel, dilated_kernel = self.weight.chunk(2)
        plain = F.conv2d(x, kernel, stride=self.stride, padding=1)
        dilated = F.conv2d(x, dilated_kernel, stride=self.stride, padding=self.rate, dilation=self.rate)
        return torch.cat([plain, dilated], 1)


class Block(nn.Module):
    """A basic (two 3x3) or bottleneck (1x1, 3x3 or SK, 1x1) residual block; `out` = `width` means basic."""

    def __init__(
        self, inputs: int, width: int, out: int, stride: int, config: EncoderConfig, *, shortcut: bool = False
    ) -> None:
        super().__init__()
        if out == width:
            layers: list[nn.Module] = [ConvNorm(inputs, width, 3, stride, config)]
        else:
            first, second = (stride, 1) if config.stride == "1x1" else (1, stride)
            kernel3 = SelectiveKernel(width, width, second, config) if config.sk else ConvNorm(width, width, 3, second, config)
            layers = [ConvNorm(inputs, width, 1, first, config), kernel3]
        kernel = 3 if out == width else 1
        self.layers = nn.Sequential(*layers, ConvNorm(width, out, kernel, 1, config, relu=False, zero=True))
        self.shortcut = ConvNorm(inputs, out, 1, 1 if config.sk else stride, config, relu=False) if shortcut else None
        self.pool_stride = stride if config.sk and (stride == 2 or config.shortcut_pool == "all") else None

    def forward(self, x: Tensor) -> Tensor:
        return recompute.through(self._residual, x)

    def _residual(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        if self.shortcut is not None:
            x = self.shortcut(x if self.pool_stride is None else average_pool(x, self.pool_stride))
        return y.add_(x).relu_()


def _stem(base: int, config: EncoderConfig) -> nn.Sequential:
    """7x7 stride 2; with SK 3x3 thrice (base/2, base/2, base); for CIFAR one 3x3 stride 1, SK or not."""
    if config.stem == "cifar":
        return nn.Sequential(ConvNorm(3, base, 3, 1, config))
    if not config.sk:
        return nn.Sequential(ConvNorm(3, base, 7, 2, config))
    half = base // 2
    return nn.Sequential(
        ConvNorm(3, half, 3, 2, config), ConvNorm(half, half, 3, 1, config), ConvNorm(half, base, 3, 1, config)
    )


def max_pool(x: Tensor, variant: str) -> Tensor:
    """3x3 stride 2. TensorFlow's SAME pads one row at the end where the size is even, one on both sides where it is odd."""
    if variant == "torchvision":
        return F.max_pool2d(x, 3, 2, 1)
    return F.max_pool2d(x, 3, 2, (x.shape[2] % 2, x.shape[3] % 2), ceil_mode=True)


def average_pool(x: Tensor, stride: int) -> Tensor:
    """ResNet-D's 2x2 pooling. Stride 2: a zero row closes odd sizes, and counts. Stride 1: same size, no padding counts."""
    if stride == 2:
        odd = x.shape[3] % 2, x.shape[2] % 2
        return F.avg_pool2d(F.pad(x, (0, odd[0], 0, odd[1])) if any(odd) else x, 2, 2)
    x = torch.cat([x, x[:, :, -1:]], 2)  # a doubled last row leaves the mean of what there is
    return F.avg_pool2d(torch.cat([x, x[:, :, :, -1:]], 3), 2, 1)


def _initialise(weight: Tensor, variant: str) -> None:
    fan_in = weight[0].numel()
    if variant == "he":
        nn.init.normal_(weight, std=math.sqrt(2 / (weight.shape[0] * weight[0, 0].numel())))
    else:
        # Keras VarianceScaling: a normal cut at 2 sigma, widened so that its variance is 1 / fan_in after the cut.
        std = math.sqrt(1 / fan_in) / 0.87962566103423978
        nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)
