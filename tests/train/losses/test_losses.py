"""Losses against the official golden numbers and against autograd, in double precision."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from simclr_spec.train.losses import strips
from simclr_spec.train.losses.distillation import distillation
from simclr_spec.train.losses.nt_xent import nt_xent
from simclr_spec.train.losses.nt_xent_memory import nt_xent_memory
from tests.places import GOLDEN


def arrays(name: str) -> Any:
    return np.load(GOLDEN / f"{name}.npz")


def textbook(z: Tensor, keys: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """Concatenate, mask, cross entropy, in the official scale."""
    u, k = F.normalize(z), F.normalize(keys)
    n = len(u) // 2
    inside = (u @ k.T / temperature).masked_fill(torch.eye(2 * n, dtype=torch.bool), -math.inf)
    logits = torch.cat([inside, u @ queue.T / temperature], dim=1)
    return F.cross_entropy(logits, torch.arange(2 * n).roll(n), reduction="sum") / n


@pytest.mark.parametrize("n", [2, 8, 64])
@pytest.mark.parametrize("temperature", ["0.1", "0.5", "1.0"])
def test_nt_xent_is_the_official_one(n: int, temperature: str) -> None:
    golden, key = arrays("ntxent"), f"N{n}_T{temperature}"
    z = torch.tensor(golden[f"z_N{n}"]).double().requires_grad_()
    loss, accuracy = nt_xent(z, float(temperature))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(golden[f"loss_float64_check_{key}"].item(), rel=1e-12)
    assert loss.item() == pytest.approx(golden[f"loss_{key}"].item(), rel=1e-5, abs=1e-6)
    gradient = golden[f"grad_{key}"]
    assert z.grad is not None
    np.testing.assert_allclose(z.grad, gradient, rtol=0, atol=1e-5 * abs(gradient).max())
    if f"logits_ab_{key}" in golden:
        logits = golden[f"logits_ab_{key}"]
        assert accuracy.item() == pytest.approx((logits.argmax(1) == np.arange(n)).mean())


def test_a_zero_row_and_identical_views() -> None:
    golden = arrays("ntxent")
    z = torch.tensor(golden["edge_z"]).requires_grad_()
    loss, _ = nt_xent(z, 0.5)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(golden["edge_loss_T0.5"].item(), rel=1e-5)
    assert z.grad is not None
    np.testing.assert_allclose(z.grad, golden["edge_grad_T0.5"], rtol=1e-3, atol=1e-6 * abs(golden["edge_grad_T0.5"]).max())


def test_two_official_replicas_are_one_process() -> None:
    golden = arrays("ntxent_two_replicas")
    z = torch.tensor(golden["z_all"]).double().requires_grad_()
    loss, _ = nt_xent(z, float(golden["temperature"]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx((golden["loss_replica0"].item() + golden["loss_replica1"].item()) / 2, rel=1e-6)
    assert z.grad is not None
    np.testing.assert_allclose(z.grad, golden["grad_single"], rtol=0, atol=1e-5 * abs(golden["grad_single"]).max())


@pytest.mark.parametrize("n", [3, 100, 128, 300, 700])
@pytest.mark.parametrize("kept", [True, False])
def test_strips_of_any_number_of_images(n: int, kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not kept:
        monkeypatch.setattr(strips, "KEPT_BYTES", 0)
    torch.manual_seed(n)
    z = torch.randn(2 * n, 8, dtype=torch.float64, requires_grad=True)
    expected = textbook(z, z, z[:0], 0.3)
    (expected_gradient,) = torch.autograd.grad(expected, z)
    loss, accuracy = nt_xent(z, 0.3)
    (gradient,) = torch.autograd.grad(3 * loss, z)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    torch.testing.assert_close(gradient, 3 * expected_gradient, rtol=0, atol=1e-12)
    similar = F.normalize(z[:n]) @ F.normalize(z[n:]).T
    assert accuracy.item() == pytest.approx((similar.argmax(1) == torch.arange(n)).double().mean().item())
    with torch.no_grad():
        assert nt_xent(z, 0.3)[0].item() == loss.item()


@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.02, 0.005])
def test_single_precision_is_close_to_double(temperature: float) -> None:
    torch.manual_seed(0)
    z = torch.randn(512, 32)
    z[256:] = z[:256] + 0.3 * z[256:]
    wide, single = z.double().requires_grad_(), z.clone().requires_grad_()
    expected, loss = nt_xent(wide, temperature)[0], nt_xent(single, temperature)[0]
    (expected + 0).backward()  # type: ignore[no-untyped-call]
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    assert wide.grad is not None
    assert single.grad is not None
    assert (single.grad - wide.grad).norm() / wide.grad.norm() < 3e-5


def test_a_small_loss_keeps_its_digits() -> None:
    """Views that agree perfectly at a low temperature: the loss is far below the rounding of 1."""
    z = torch.eye(8).repeat(2, 1)
    assert nt_xent(z, 0.05)[0].item() == pytest.approx(2 * math.log1p(14 * math.exp(-20)), rel=1e-5)


@pytest.mark.parametrize("online", [False, True])
@pytest.mark.parametrize("n", [5, 300])
def test_memory_is_cross_entropy_over_keys_and_queue(online: bool, n: int) -> None:
    torch.manual_seed(1)
    z = torch.randn(2 * n, 6, dtype=torch.float64, requires_grad=True)
    keys = z if online else torch.randn(2 * n, 6, dtype=torch.float64)
    queue = F.normalize(torch.randn(40, 6, dtype=torch.float64))
    expected = textbook(z, keys, queue, 0.2)
    (expected_gradient,) = torch.autograd.grad(expected, z)
    loss, accuracy = nt_xent_memory(z, keys, queue, 0.2)
    (gradient,) = torch.autograd.grad(loss, z)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-12)
    similar = F.normalize(z[:n]) @ F.normalize(keys[n:]).T
    assert accuracy.item() == pytest.approx((similar.argmax(1) == torch.arange(n)).double().mean().item())


def test_memory_without_a_queue_is_nt_xent() -> None:
    z = torch.randn(14, 6, dtype=torch.float64)
    torch.testing.assert_close(nt_xent_memory(z, z, z[:0], 0.2)[0], nt_xent(z, 0.2)[0])


def test_autocast_leaves_the_losses_in_single_precision() -> None:
    z = torch.randn(64, 16)
    with torch.autocast("cpu", torch.bfloat16):
        within = nt_xent(z, 0.1)[0]
    assert torch.equal(within, nt_xent(z, 0.1)[0])


def test_distillation_is_equation_2() -> None:
    student, teacher = torch.randn(4, 5, dtype=torch.float64), torch.randn(4, 5, dtype=torch.float64)
    probabilities = [torch.softmax(logits / 0.7, dim=1) for logits in (teacher, student)]
    expected = -(probabilities[0] * probabilities[1].log()).sum(1).mean()
    torch.testing.assert_close(distillation(student, teacher, 0.7), expected)
    torch.testing.assert_close(distillation(student, teacher, 0.7, temperature_squared=True), 0.49 * expected)


def test_equation_3_mixes_in_the_labelled_images() -> None:
    student, teacher = torch.randn(4, 5, dtype=torch.float64), torch.randn(4, 5, dtype=torch.float64)
    labels = torch.tensor([2, -1, 0, -1])
    supervised = -(torch.log_softmax(student, 1)[0, 2] + torch.log_softmax(student, 1)[2, 0]) / 4
    mixed = distillation(student, teacher, 2.0, labels=labels, alpha=0.25)
    torch.testing.assert_close(mixed, 0.75 * supervised + 0.25 * distillation(student, teacher, 2.0))
    none = distillation(student, teacher, 2.0, labels=torch.full((4,), -1), alpha=0.25)
    torch.testing.assert_close(none, 0.25 * distillation(student, teacher, 2.0))


def test_the_teacher_gets_no_gradient() -> None:
    student, teacher = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4, requires_grad=True)
    distillation(student, teacher, 1.0).backward()  # type: ignore[no-untyped-call]
    assert student.grad is not None
    assert teacher.grad is None
