"""Several processes compute what one computes: losses, gradients, BN statistics, with few collectives."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from simclr_spec.stages.common import EncoderConfig, HeadConfig
from simclr_spec.train.losses import strips
from simclr_spec.train.losses.nt_xent import nt_xent
from simclr_spec.train.losses.nt_xent_memory import nt_xent_memory
from simclr_spec.train.model.encoder import Encoder
from simclr_spec.train.model.heads import ProjectionHead
from simclr_spec.train.model.norm import GlobalBatchNorm
from tests.train.golden_fill import encoder_params
from tests.train.ranks import Counter, in_processes

IMAGES, DIM = 12, 7
WHOLE = slice(0, IMAGES)


def of_views(tensor: Tensor, images: slice) -> Tensor:
    """Rows of both views of some images."""
    return tensor.view(2, IMAGES, *tensor.shape[1:])[:, images].flatten(0, 1)


def embeddings() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    z, keys, queue = (torch.randn(n, DIM, dtype=torch.float64, generator=generator) for n in (2 * IMAGES, 2 * IMAGES, 31))
    z[IMAGES:] += z[:IMAGES]
    keys += z
    z[3] = 0
    return z, keys, nn.functional.normalize(queue)


def losses(images: slice, counter: Counter | None = None) -> dict[str, Any]:
    """Each loss with its accuracy, gradients and collectives (forward, backward)."""
    found: dict[str, Any] = {}
    for name in ("nt_xent", "memory", "online"):
        z, keys, queue = embeddings()
        z, keys = of_views(z, images).requires_grad_(), of_views(keys, images)
        if name == "nt_xent":
            loss, accuracy = nt_xent(z, 0.2)
        else:
            loss, accuracy = nt_xent_memory(z, z if name == "online" else keys, queue, 0.2)
        forward = counter.take() if counter else 0
        loss.backward()  # type: ignore[no-untyped-call]
        backward = counter.take() if counter else 0
        found[name] = {"loss": loss.detach(), "accuracy": accuracy, "z": z.grad, "collectives": (forward, backward)}
    return found


STRIPS = {"one strip": (256, 2**33), "strips kept": (2, 2**33), "strips formed twice": (2, 0)}


def in_strips(how: str, images: slice, counter: Counter) -> dict[str, Any]:
    before = strips.STRIP, strips.KEPT_BYTES
    strips.STRIP, strips.KEPT_BYTES = STRIPS[how]
    try:
        return losses(images, counter)
    finally:
        strips.STRIP, strips.KEPT_BYTES = before


def norm(rows: slice, variance: str, dims: int, counter: Counter | None = None) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(2)
    shape = (10, 5, 3, 4)[:dims]
    x, target = (torch.randn(shape, dtype=torch.float64, generator=generator)[rows] for _ in range(2))
    x = (100 + 3 * x).requires_grad_()
    layer = GlobalBatchNorm(5, EncoderConfig(**{**vars(encoder_params(18)), "bn_variance": variance})).double()
    nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(3))
    y = layer(x)
    forward = counter.take() if counter else 0
    (y * target).sum().backward()
    backward = counter.take() if counter else 0
    return {
        "y": y.detach(),
        "x": x.grad,
        "weight": layer.weight.grad,
        "bias": layer.bias.grad,  # type: ignore[union-attr]
        "mean": layer.running_mean,
        "variance": layer.running_var,
        "collectives": (forward, backward),
    }


class Backwards(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Which of its tensors the native backward of batch norm was given."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.given: list[list[bool]] = []

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if op is torch.ops.aten.native_batch_norm_backward.default:
            self.given.append([isinstance(argument, Tensor) for argument in args[:7]])
        return op(*args, **(kwargs or {}))


HALVES = [(mean, dims, last) for mean in (0, 1, 10, 30) for dims, last in ((2, False), (4, False), (4, True))]
"""|mean| / sd of the inputs, their dimensions, and whether their channels are last."""


def in_halves(
    rows: slice, mean: float, dims: int, last: bool, dtype: torch.dtype = torch.bfloat16, device: str = "cpu"
) -> Tensor:
    """dx of bfloat16 inputs and gradients, computed in `dtype`; the gradients go along with the inputs, as a loss's do."""
    generator = torch.Generator().manual_seed(6)
    shape = (64, 8, 4, 4)[:dims]
    noise, other = (torch.randn(shape, generator=generator) for _ in range(2))
    x, gradient = (t.bfloat16().to(device, dtype)[rows] for t in (noise + mean, noise + other))
    if last:
        x, gradient = (t.contiguous(memory_format=torch.channels_last) for t in (x, gradient))
    x.requires_grad_()
    layer = GlobalBatchNorm(8, encoder_params(18))
    layer.to(device, torch.float64 if dtype == torch.float64 else torch.float32)(x).backward(gradient)
    assert x.grad is not None
    assert x.grad.is_contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
    return x.grad.cpu()


def network(images: slice) -> dict[str, Any]:
    """Encoder, head and NT-Xent: loss and all gradients."""
    torch.manual_seed(4)
    bn = encoder_params(50, base_width=2, sk=True, stem="cifar")
    encoder = Encoder(bn)
    model = nn.Sequential(
        encoder, ProjectionHead(encoder.features, HeadConfig(layers=2, width=1, out_dim=6, last_beta=False), bn)
    ).double()
    for p in model.parameters():
        nn.init.normal_(p, std=0.5)
    x = torch.rand(2 * IMAGES, 3, 8, 8, dtype=torch.float64)
    loss, _ = nt_xent(model(of_views(x, images))[-1], 0.5)
    loss.backward()  # type: ignore[no-untyped-call]
    return {"loss": loss.detach(), "gradient": torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])}


def uneven(world: int) -> list[slice]:
    ends = [0, *(1 + 2 * r for r in range(1, world)), 10]
    return [slice(a, b) for a, b in pairwise(ends)]


def work(rank: int, world: int, counter: Counter) -> dict[str, Any]:
    size = IMAGES // world
    images = slice(rank * size, (rank + 1) * size)
    with Backwards() as backwards:
        halves = [in_halves(half(rank, world), *case) for case in HALVES]
    counter.take()
    return {
        "halves": halves,
        "backwards": backwards.given,
        "losses": {how: in_strips(how, images, counter) for how in STRIPS},
        "norms": [norm(uneven(world)[rank], variance, dims, counter) for variance, dims in NORMS],
        "network": network(images),
    }


def half(rank: int, world: int) -> slice:
    """Shares of 64 rows."""
    return slice(64 * rank // world, 64 * (rank + 1) // world)


def halves_on_gpus(rank: int, world: int, _counter: Counter) -> list[Tensor]:
    return [in_halves(half(rank, world), *case, device=f"cuda:{rank % torch.cuda.device_count()}") for case in HALVES]


NORMS = [("biased", 4), ("unbiased", 4), ("biased", 2)]


@pytest.fixture(scope="module", params=[2, 3, 4])
def ranks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return in_processes(request.param, work, tmp_path_factory.mktemp("ranks") / "meeting")


def alike(ours: Tensor, whole: Tensor) -> None:
    """Cosine 1 and ratio of norms 1."""
    cosine = nn.functional.cosine_similarity(ours.flatten(), whole.flatten(), dim=0)
    assert abs(cosine.item() - 1) <= 1e-6
    assert abs((ours.norm() / whole.norm()).item() - 1) <= 1e-6
    torch.testing.assert_close(ours, whole, rtol=1e-6, atol=1e-9 * whole.abs().max().item())


@pytest.mark.parametrize("how", STRIPS)
@pytest.mark.parametrize("name", ["nt_xent", "memory", "online"])
def test_losses_and_their_gradients(name: str, how: str, ranks: list[dict[str, Any]]) -> None:
    whole = losses(WHOLE)[name]
    joined = torch.cat([rank["losses"][how][name]["z"].view(2, -1, DIM) for rank in ranks], dim=1).flatten(0, 1)
    alike(joined / len(ranks), whole["z"])
    for rank in ranks:
        ours = rank["losses"][how][name]
        torch.testing.assert_close(ours["loss"], whole["loss"], rtol=1e-12, atol=0)
        assert ours["accuracy"] == pytest.approx(whole["accuracy"])
        assert ours["collectives"] == (2, 0)


@pytest.mark.parametrize("number", range(len(NORMS)))
def test_batch_norm_over_uneven_shares(number: int, ranks: list[dict[str, Any]]) -> None:
    whole = norm(slice(0, 10), *NORMS[number])
    parts = [rank["norms"][number] for rank in ranks]
    for name in ("y", "x"):
        alike(torch.cat([part[name] for part in parts]), whole[name])
    for name in ("weight", "bias"):
        alike(torch.stack([part[name] for part in parts]).sum(0), whole[name])
    for part in parts:
        alike(part["mean"], whole["mean"])
        alike(part["variance"], whole["variance"])
        assert part["collectives"] == (1, 1)


def test_the_native_backward_is_given_all_that_cuda_asks_for(ranks: list[dict[str, Any]]) -> None:
    """CUDA refuses 2-D and channels-last inputs without saved mean and inverse deviation; the CPU does not look."""
    for rank in ranks:
        assert rank["backwards"] == [[True] * 7] * len(HALVES)


@pytest.mark.parametrize("number", range(len(HALVES)), ids=str)
def test_half_precision_is_rounded_once(number: int, ranks: list[dict[str, Any]]) -> None:
    """The ranks' dx is as near to that in double precision as one process's, wherever the mean is."""
    near(torch.cat([rank["halves"][number] for rank in ranks]), number, "cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_half_precision_over_two_processes_with_gpus(tmp_path: Path) -> None:
    """A single GPU is shared by both: gloo's all-reduce takes its tensors, too."""
    backend = "nccl" if torch.cuda.device_count() > 1 else "gloo"
    for number, parts in enumerate(zip(*in_processes(2, halves_on_gpus, tmp_path / "meeting", backend), strict=True)):
        near(torch.cat(parts), number, "cuda")


def near(joined: Tensor, number: int, device: str) -> None:
    exact = in_halves(slice(0, 64), *HALVES[number], dtype=torch.float64)
    alone = in_halves(slice(0, 64), *HALVES[number], device=device)
    assert joined.dtype == torch.bfloat16
    assert (joined - exact).norm() <= 1.05 * (alone - exact).norm() <= 0.01 * exact.norm()


def test_a_network_with_averaged_gradients(ranks: list[dict[str, Any]]) -> None:
    whole = network(WHOLE)
    alike(torch.stack([rank["network"]["gradient"] for rank in ranks]).mean(0), whole["gradient"])
    for rank in ranks:
        torch.testing.assert_close(rank["network"]["loss"], whole["loss"], rtol=1e-9, atol=0)
