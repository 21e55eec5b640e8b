"""Where paper, official code and cited papers part, the recipe names a side; here the other sides, against plain accounts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as torchvision

from simclr_spec.core.fields import build
from simclr_spec.stages import network
from simclr_spec.stages.common import HeadConfig
from simclr_spec.stages.kinds import KINDS
from simclr_spec.stages.pretrain import PretrainConfig
from simclr_spec.train.data.datasets import load
from simclr_spec.train.loop.trainer import train_step
from simclr_spec.train.model.encoder import Block, Encoder, SelectiveKernel
from simclr_spec.train.model.heads import ProjectionHead
from simclr_spec.train.optim import optimizer
from simclr_spec.train.stage import Batch
from simclr_spec.train.stages.pretrain import Pretrain
from simclr_spec.train.views import colour
from tests.steps import step
from tests.train.golden_fill import encoder_params


def pretrain(**overrides: Any) -> Pretrain:
    torch.manual_seed(3)
    return Pretrain(build(PretrainConfig, step("pretrain", **overrides)), {}).double()


def batch(n: int) -> Batch:
    generator = torch.Generator().manual_seed(1)
    views = tuple(torch.rand(n, 3, 8, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    return Batch(views, torch.zeros(n, dtype=torch.int64))


@pytest.mark.parametrize("sk", [False, True])
def test_the_first_convolution_of_a_bottleneck_may_stride(sk: bool) -> None:
    """He et al. 2016; row 16. Only the first block of groups 2 to 4 strides, and by 2."""
    encoder = Encoder(replace(encoder_params(50, base_width=4, sk=sk), stride="1x1"))
    sides: dict[str, tuple[int, int]] = {}
    for name, module in encoder.named_modules():
        if isinstance(module, nn.Conv2d) and name.startswith("group"):
            sides[name] = module.stride  # type: ignore[assignment]
    striding = {name for name, stride in sides.items() if stride == (2, 2)}
    first = {f"group{group}.0.layers.0.conv" for group in (2, 3, 4)}
    assert striding == first | (set() if sk else {f"group{group}.0.shortcut.conv" for group in (2, 3, 4)})


def test_the_second_stream_may_be_dilated() -> None:
    """Li et al. 2019; row 18: a 3x3 convolution whose taps lie two pixels apart."""
    torch.manual_seed(0)
    config = replace(encoder_params(50, base_width=4, sk=True), sk_dilation=2)
    for stride in (1, 2):
        streams = SelectiveKernel(6, 4, stride, config).streams.conv
        x = torch.rand(2, 6, 9, 7)
        spread = torch.zeros(4, 6, 5, 5)
        spread[:, :, ::2, ::2] = streams.weight[4:].detach()
        wanted = torch.cat([F.conv2d(x, streams.weight[:4], None, stride, 1), F.conv2d(x, spread, None, stride, 2)], 1)
        torch.testing.assert_close(streams(x), wanted)
    plain, dilated = Encoder(replace(config, sk_dilation=1)), Encoder(config)
    assert [p.shape for p in plain.parameters()] == [p.shape for p in dilated.parameters()]


def test_a_shortcut_without_stride_may_do_without_pooling() -> None:
    """He et al. 2019, ResNet-D as cited; row 17."""
    config = replace(encoder_params(50, base_width=4, sk=True), shortcut_pool="strided")
    x = torch.rand(3, 8, 6, 6)
    for stride in (1, 2):
        block = Block(8, 4, 16, stride, config, shortcut=True).eval()
        nn.init.zeros_(block.layers[-1].norm.weight)  # type: ignore[union-attr, arg-type]
        assert block.shortcut is not None
        pooled = x if stride == 1 else F.avg_pool2d(x, 2)
        torch.testing.assert_close(block(x), block.shortcut(pooled).relu())


def test_the_last_layer_of_the_head_may_have_a_beta() -> None:
    """Row 19."""
    config = HeadConfig(layers=3, width=1, out_dim=5, last_beta=True)
    head = ProjectionHead(8, config, encoder_params(18))
    counted = network.head(8, vars(config))
    assert sum(p.numel() for p in head.parameters()) == counted.trainable == 2 * (64 + 16) + 40 + 10
    assert network.head(8, vars(replace(config, last_beta=False))).trainable == counted.trainable - 5


def test_brightness_may_be_added() -> None:
    """SimCLR's first version; row 11: x + d instead of x (1 + d)."""
    x, delta = torch.rand(3, 3, 4, 4), torch.tensor([-0.5, 0.0, 0.3])[:, None, None, None]
    torch.testing.assert_close(colour.OPERATIONS["simclr"][colour.BRIGHTNESS](x.clone(), 1 + delta), x + delta)
    assert colour.OPERATIONS["simclr"][1:] == colour.OPERATIONS["simclrv2"][1:]


@pytest.mark.parametrize(("size", "kernel"), [(32, 3), (32, 7), (9, 9), (4, 5)])
def test_the_blur_may_mirror_the_border(size: int, kernel: int) -> None:
    """Row 13; torchvision's blur does."""
    x = torch.rand(2, 3, size, size)
    sigmas = torch.tensor([0.4, 1.7])
    wanted = torch.cat(
        [torchvision.gaussian_blur(x[i : i + 1], [kernel, kernel], [s, s]) for i, s in enumerate(sigmas.tolist())]
    )
    torch.testing.assert_close(colour.blur(x, sigmas, kernel, "reflect"), wanted, rtol=0, atol=2e-6)
    alone = colour.blur(x[1:], sigmas[1:], kernel, "reflect")
    torch.testing.assert_close(alone, wanted[1:], rtol=0, atol=2e-6)


def moved(scope: str, **overrides: Any) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """Name -> weights before, gradient, and weights after one step of LARS at rate 0.5."""
    stage = pretrain(linear_head=True, weight_decay=0.1, lars_scope=scope, **overrides)
    for p in stage.parameters():
        p.data = torch.randn_like(p)
        p.grad = torch.randn_like(p)
    before = {name: (p.detach().clone(), p.grad) for name, p in stage.named_parameters() if p.grad is not None}
    optimizer(stage, stage.config).step(0.5)
    after = dict(stage.named_parameters())
    return {name: (w, g, after[name].detach()) for name, (w, g) in before.items()}


def test_lars_may_reach_everything() -> None:
    """The paper names no exception; row 9."""
    for name, (w, g, after) in moved("all").items():
        decayed = g + 0.1 * w
        wanted = w - 0.5 * 0.001 * w.norm() / decayed.norm() * decayed
        torch.testing.assert_close(after, wanted, rtol=1e-9, atol=1e-12, msg=name)


def test_the_classifier_may_go_undecayed() -> None:
    """Row 10; nothing else changes."""
    here, there = moved("kernels", decay_classifier=False), moved("kernels")
    for name, (w, g, after) in here.items():
        if name == "classifier.weight":
            torch.testing.assert_close(after, w - 0.5 * g)
            torch.testing.assert_close(there[name][2], w - 0.5 * (g + 0.1 * w))
        else:
            assert torch.equal(after, there[name][2])


@pytest.mark.parametrize("memory", [False, True])
def test_the_loss_may_be_the_mean_over_the_views(memory: bool) -> None:
    """SimCLR's mean over 2N; row 8. The linear head's loss stays."""
    options = {"linear_head": True, "memory__enabled": memory}
    whole, half = pretrain(**options), pretrain(loss_mean="examples", **options)
    one, two = whole.measure(batch(6)), half.measure(batch(6))
    names = whole.measures
    assert two[names.index("loss")].item() == pytest.approx(one[names.index("loss")].item() / 2)
    assert torch.equal(one[names.index("linear_loss")], two[names.index("linear_loss")])
    assert two[0].item() == pytest.approx((two[names.index("loss")] + two[names.index("linear_loss")]).item())
    for loss in (one[0], two[0]):
        loss.backward()  # type: ignore[no-untyped-call]
    gradients = [dict(stage.encoder.named_parameters())["stem.0.conv.weight"].grad for stage in (whole, half)]
    assert gradients[0] is not None
    torch.testing.assert_close(gradients[1], gradients[0] / 2)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_linear_head_may_read_a_layer_of_the_head(layer: int) -> None:
    """Row 21: beside pretraining the official one reads the layer that is set for fine-tuning. No gradient passes it."""
    values = step("pretrain", linear_head=True, linear_layer=layer, head__width=2)
    torch.manual_seed(3)
    stage = Pretrain(build(PretrainConfig, values), {})
    shown = Batch(tuple(view.float() for view in batch(6).views), torch.arange(6))

    def read(x: Tensor) -> Tensor:
        hidden = stage.encoder(x)
        for part in stage.head.layers[:layer]:
            hidden = part(hidden)
        assert stage.classifier is not None
        return stage.classifier(hidden)  # type: ignore[no-any-return]

    with torch.no_grad():
        wanted = F.cross_entropy(read(torch.cat(shown.views)), shown.labels.repeat(2))
    linear = stage.measure(shown)[stage.measures.index("linear_loss")]
    torch.testing.assert_close(linear, wanted)
    linear.backward()  # type: ignore[no-untyped-call]
    reached = {name for name, p in stage.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached == {"classifier.weight", "classifier.bias"}

    images = load(stage.config.dataset)
    stage.eval()
    with torch.no_grad():
        right = read(images.test / 255).argmax(1) == images.test_labels  # type: ignore[arg-type, operator]
    stage.train()
    assert stage.evaluate(images)["linear"].percent(1) == pytest.approx(100 * right.double().mean().item())
    priced = KINDS["pretrain"].work(stage.config, {})
    assert priced.parameters == sum(p.numel() for p in stage.parameters())


def test_the_trained_networks_may_be_handed_on() -> None:
    """Open in paper and code: which of the two later stages start from."""
    stage = pretrain(memory__enabled=True, memory__handed_on="online")
    train_step(stage, optimizer(stage, stage.config), batch(6), rate=0.5, micro_batch=6)
    handed = stage.exported_weights()
    for part in ("encoder", "head"):
        for name, tensor in getattr(stage, part).state_dict().items():
            assert torch.equal(handed[f"{part}.{name}"], tensor)
