"""Activations that are computed again in the backward pass: the same bits, fewer of them kept."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import Tensor, nn

from simclr_spec.core.files import read_json
from simclr_spec.stages import network
from simclr_spec.store.layout import RunFolder, Store
from simclr_spec.train import recompute
from simclr_spec.train.model.encoder import Block, Encoder
from tests.steps import prepare
from tests.train.golden_fill import encoder_params
from tests.train.loop.test_run_ranks import trained
from tests.train.ranks import COLLECTIVES, Counter, in_processes
from tests.train.test_distributed import chain, python


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recompute, "wanted", False)


def _train(folders: list[RunFolder], world: int, wanted: bool) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": str(world)}
    words = ("-m", "simclr_spec.train", *(str(folder.path) for folder in folders))
    with ThreadPoolExecutor(world) as ranks:
        ended = [
            ranks.submit(python, *words, RANK=str(rank), SIMCLR_SPEC_RECOMPUTE=str(int(wanted)), **place)
            for rank in range(world)
        ]
        assert [rank.result() for rank in ended] == [""] * world


def _steps(store: Store) -> list[RunFolder]:
    half: dict[str, Any] = {"precision": "bf16", "encoder__bn_variance": "unbiased"}
    return [*chain(store), prepare(store, "supervised", train_steps=3, test_images=40, **half)]


@pytest.mark.parametrize("world", [1, 2])
def test_every_kind_of_training_ends_with_the_same_weights(world: int, tmp_path: Path) -> None:
    """Memory and its momentum encoder, SK, frozen encoders, teachers and bf16 included."""
    kept, again = _steps(Store(tmp_path / "kept")), _steps(Store(tmp_path / "again"))
    _train(kept, world, wanted=False)
    _train(again, world, wanted=True)
    for one, two in zip(kept, again, strict=True):
        told = [read_json(folder.result)["environment"] for folder in (one, two)]
        assert [(where["recompute"], where["world_size"]) for where in told] == [(False, world), (True, world)]
        weights = load_file(two.weights)
        for name, tensor in load_file(one.weights).items():
            assert torch.equal(tensor, weights[name]), f"{one.path.name}: {name}"


TRAINED = ("memory, micro-batches", "SK, channels last")


def _both(_rank: int, world: int, counter: Counter) -> list[dict[str, Any]]:
    """Without and with recomputation: what two train steps leave, and how often the processes speak."""
    found = []
    for recompute.wanted in (False, True):
        cases = {case: trained(case, world) for case in TRAINED}
        found.append({"cases": cases, "collectives": counter.take()})
    return found


@pytest.mark.parametrize("world", [1, 2])
def test_train_steps_are_the_same_to_the_bit_and_ask_other_processes_no_oftener(world: int, tmp_path: Path) -> None:
    for kept, again in in_processes(world, _both, tmp_path / "meeting"):
        assert kept["collectives"] == again["collectives"]
        assert (kept["collectives"] > 0) == (world > 1)
        for case, left in kept["cases"].items():
            for t, gradients in enumerate(left["gradients"]):
                assert torch.equal(gradients, again["cases"][case]["gradients"][t]), case
            for name, tensor in left["state"].items():
                assert torch.equal(tensor, again["cases"][case]["state"][name]), f"{case}: {name}"


def _compiled(rank: int, world: int, _counter: Counter) -> list[dict[str, Tensor]]:
    """A block, plain and compiled, kept and computed again: what a gradient and the running statistics become."""
    for name in COLLECTIVES:  # the compiler does not see through what counts
        setattr(dist, name, getattr(dist.distributed_c10d, name))
    torch.manual_seed(1)
    block = Block(8, 8, 8, 1, encoder_params(18))
    for p in block.parameters():
        nn.init.normal_(p, std=0.5)
    x, target = (part.chunk(world)[rank] for part in torch.randn(2, 8, 8, 4, 4))
    found = []
    for wanted, compiles in ((False, False), (True, True), *([(False, True)] if world > 1 else [])):
        torch.compiler.reset()
        recompute.wanted, mine, given = wanted, deepcopy(block), x.clone().requires_grad_()
        if compiles:
            mine.compile(fullgraph=True)
        y = mine(given)
        (y * target).sum().backward()
        assert given.grad is not None
        gradients = {name: p.grad for name, p in mine.named_parameters() if p.grad is not None}
        found.append({"y": y.detach(), "x": given.grad, **gradients, **dict(mine.named_buffers())})
    return found


@pytest.mark.skipif(not any(map(shutil.which, ("g++", "c++", "clang++"))), reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("world", [1, 2])
def test_compiled_blocks_compute_the_same_numbers(world: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    for plain, *compiled in in_processes(world, _compiled, tmp_path / "meeting"):
        for found in compiled:
            assert found.keys() == plain.keys()
            for name, tensor in plain.items():
                torch.testing.assert_close(found[name], tensor, rtol=1e-5, atol=1e-5 * float(tensor.abs().max()), msg=name)


def _kept_bytes(encoder: Encoder, images: Tensor) -> int:
    """Of all tensors that wait for the backward pass; the network's own are no activations."""
    own = {tensor.untyped_storage().data_ptr() for tensor in encoder.state_dict().values()}
    kept: dict[int, Any] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        features = encoder(images)
    assert features.requires_grad
    return sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in own)


@pytest.mark.parametrize("sk", [False, True])
def test_fewer_activations_are_kept_and_the_estimate_covers_them(sk: bool) -> None:
    """Two values of four bytes for an output where all are kept, and some for SK's gate. Else inputs of blocks."""
    params = encoder_params(50, base_width=8, sk=sk)
    encoder, images = Encoder(params), torch.rand(2, 3, 64, 64)
    counts = network.encoder(vars(params), 64)
    kept = _kept_bytes(encoder, images)
    recompute.wanted = True
    again = _kept_bytes(encoder, images)
    assert kept == pytest.approx(2 * 8 * counts.outputs, rel=0.3 if sk else 0.15)
    assert again < 2 * 8 * counts.kept < 0.7 * kept
    assert again < kept / 3


def test_where_no_gradient_flows_nothing_is_kept_nor_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recompute, "wanted", True)
    monkeypatch.setattr(recompute, "checkpoint", lambda *_a, **_k: pytest.fail("a checkpoint"))
    with torch.no_grad():
        Encoder(encoder_params(18, base_width=2))(torch.rand(2, 3, 8, 8))


def test_nothing_random_is_in_a_network() -> None:
    """So that the second pass needs no generator of the first."""
    modules = {type(module) for sk in (False, True) for module in Encoder(encoder_params(50, base_width=2, sk=sk)).modules()}
    assert not [module for module in modules if "Dropout" in module.__name__]
    encoder, images = Encoder(encoder_params(50, base_width=2, sk=True)), torch.rand(2, 3, 8, 8)
    before = torch.get_rng_state()
    encoder(images).sum().backward()
    assert torch.equal(torch.get_rng_state(), before)


def test_the_variable_is_read_whenever_a_step_starts() -> None:
    read = (
        "import os\n"
        "from simclr_spec.train import distributed, recompute\n"
        "for value in ('1', '0', '1'):\n"
        "    os.environ['SIMCLR_SPEC_RECOMPUTE'] = value\n"
        "    distributed.start()\n"
        "    print(int(recompute.wanted), end='')\n"
    )
    assert subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, check=True).stdout == "101"
