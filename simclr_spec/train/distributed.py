"""Ranks, devices and threads, from the environment that torchrun and Slurm launchers set; one process needs none of it."""

from __future__ import annotations

import atexit
import os
import sys
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from simclr_spec.core.environment import DETERMINISTIC, MEETING, RECOMPUTE, THREADS
from simclr_spec.language.runner import Common
from simclr_spec.train import recompute

T = TypeVar("T")


def start() -> torch.device:
    """What the runner says, device and, when WORLD_SIZE > 1, the process group. Safe to call once per Step of a process."""
    torch.set_num_threads(int(os.environ.get(THREADS, Common.threads)))
    set_arithmetic(deterministic=bool(int(os.environ.get(DETERMINISTIC, Common.deterministic))))
    recompute.wanted = bool(int(os.environ.get(RECOMPUTE, Common.recompute)))
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        torch.cuda.set_device(device)
    else:
        device = torch.device("cpu")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        _meet("nccl" if device.type == "cuda" else "gloo")
        atexit.register(dist.destroy_process_group)  # else gloo's threads now and then abort a process that has done its work
    return device


def _meet(backend: str) -> None:
    file = os.environ.get(MEETING)
    if file is None:
        dist.init_process_group(backend)
    else:
        world, rank = int(os.environ["WORLD_SIZE"]), int(os.environ["RANK"])
        dist.init_process_group(backend, f"file://{file}", world_size=world, rank=rank)


def set_arithmetic(*, deterministic: bool) -> None:
    """float32 is IEEE's on GPUs, too, not TF32; where asked for, GPUs sum in the same order every time, which costs speed.

    Set by torch's older interface: where the newer one (fp32_precision) has set it, the older raises, and inductor reads that.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.deterministic = deterministic
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when the first product is formed on a GPU
    if deterministic != torch.are_deterministic_algorithms_enabled():  # the setting loads the compiler: seconds
        torch.use_deterministic_algorithms(deterministic)


def world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def barrier() -> None:
    """Wait until every rank is here."""
    if world_size() > 1:
        dist.barrier()


def leave(code: int) -> NoReturn:
    """End this process. One of several at once: to end their group in order would wait for one that failed, and gloo's threads
    now and then abort a process that has done its work."""
    sys.stdout.flush()
    sys.stderr.flush()
    if world_size() > 1:
        os._exit(code)
    sys.exit(code)


def lost_another(error: Exception) -> bool:
    """Whether a collective failed because another rank has left, as gloo, NCCL and torch say it."""
    words = ("closed by peer", "reset by peer", "Broken pipe", "Socket closed", "NCCL")
    told = isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    return world_size() > 1 and (told or isinstance(error, dist.DistError))


def rank_slice(batch: int) -> slice:
    """The rows of a batch that this rank works on: equal, contiguous shares in the order of ranks."""
    size = batch // world_size()
    return slice(rank() * size, (rank() + 1) * size)


def broadcast(value: T) -> T:
    """Rank 0's value, on every rank."""
    if world_size() == 1:
        return value
    box: list[Any] = [value]
    dist.broadcast_object_list(box)
    result: T = box[0]
    return result


def any_across_ranks(flag: bool) -> bool:
    """Whether the flag is up on some rank; every rank must ask."""
    if world_size() == 1:
        return flag
    flags: list[Any] = [None] * world_size()
    dist.all_gather_object(flags, flag)
    return any(flags)


def average(tensors: list[Tensor]) -> None:
    """Replace the tensors by their means over the ranks, in one packed all-reduce."""
    packed = torch.cat([tensor.reshape(-1) for tensor in tensors])
    dist.all_reduce(packed)
    packed /= world_size()
    for tensor, part in zip(tensors, torch.split(packed, [tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))


def gather(rows: Tensor) -> Tensor:
    """(B, ...) of each rank -> (world x B, ...) in the order of ranks; no gradient."""
    if world_size() == 1:
        return rows
    out = rows.new_empty(world_size() * rows.shape[0], *rows.shape[1:])
    dist.all_gather_into_tensor(out, rows.contiguous())
    return out
