"""Run a function in several gloo processes and count their collectives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

COLLECTIVES = ("all_reduce", "all_gather_into_tensor", "all_gather", "reduce_scatter_tensor", "broadcast")


class Counter:
    """Collectives called since the last `take`."""

    def __init__(self) -> None:
        self.calls = 0
        for name in COLLECTIVES:
            setattr(dist, name, self._counted(getattr(dist, name)))

    def _counted(self, collective: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            return collective(*args, **kwargs)

        return counted

    def take(self) -> int:
        calls, self.calls = self.calls, 0
        return calls


def in_processes(world: int, work: Callable[[int, int, Counter], Any], folder: Path, backend: str = "gloo") -> list[Any]:
    """What `work(rank, world, counter)`, a function of a module, returns in each process; with nccl on a GPU each."""
    folder.mkdir()
    spawn(_child, (world, work, str(folder), backend), nprocs=world)  # type: ignore[no-untyped-call]
    return [torch.load(folder / str(rank), weights_only=False) for rank in range(world)]


def _child(rank: int, world: int, work: Callable[[int, int, Counter], Any], folder: str, backend: str) -> None:
    torch.set_num_threads(1)
    if backend == "nccl":
        torch.cuda.set_device(rank)
    dist.init_process_group(backend, init_method=f"file://{folder}/meet", rank=rank, world_size=world)
    torch.save(work(rank, world, Counter()), f"{folder}/{rank}")
    dist.destroy_process_group()
